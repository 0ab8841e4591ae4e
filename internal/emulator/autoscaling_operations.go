package emulator

import (
	"slices"
	"strconv"
	"time"

	"github.com/shoal-ci/shoal/internal/world"
)

// operation carries one action out; a nil result is an answer without one.
type operation func(*world.World, time.Time, form) (any, error)

var autoScalingOperations = map[string]operation{
	"CreateAutoScalingGroup":              createGroup,
	"UpdateAutoScalingGroup":              updateGroup,
	"DeleteAutoScalingGroup":              deleteGroup,
	"DescribeAutoScalingGroups":           describeGroups,
	"DescribeAutoScalingInstances":        describeInstances,
	"DescribeScalingActivities":           describeActivities,
	"DescribeLifecycleHooks":              describeHooks,
	"PutLifecycleHook":                    putHook,
	"DeleteLifecycleHook":                 deleteHook,
	"CompleteLifecycleAction":             completeAction,
	"RecordLifecycleActionHeartbeat":      recordHeartbeat,
	"SetDesiredCapacity":                  setDesired,
	"SetInstanceProtection":               setProtection,
	"SetInstanceHealth":                   setHealth,
	"TerminateInstanceInAutoScalingGroup": terminate,
	"EnterStandby":                        enterStandby,
	"ExitStandby":                         exitStandby,
	"DetachInstances":                     detach,
	"SuspendProcesses":                    suspend,
	"ResumeProcesses":                     resume,
}

const groupName = "AutoScalingGroupName"

func createGroup(w *world.World, now time.Time, f form) (any, error) {
	low, err1 := f.number("MinSize")
	high, err2 := f.number("MaxSize")
	desired, err3 := f.number("DesiredCapacity")
	grace, err4 := f.number("HealthCheckGracePeriod")
	if err := first(f.need(groupName, "MinSize", "MaxSize"), err1, err2, err3, err4); err != nil {
		return nil, err
	}
	if desired == nil {
		desired = low
	}
	s := world.GroupSpec{
		Name: f.Get(groupName), Min: *low, Max: *high, Desired: *desired, Zones: f.list("AvailabilityZones"),
		TemplateVersion: f.Get("LaunchTemplate.Version"), NewProtected: isTrue(f.boolean("NewInstancesProtectedFromScaleIn")),
	}
	if grace != nil {
		s.HealthGrace = time.Duration(*grace) * time.Second
	}
	return nil, w.CreateGroup(now, s)
}

func updateGroup(w *world.World, now time.Time, f form) (any, error) {
	u := world.GroupUpdate{NewProtected: f.boolean("NewInstancesProtectedFromScaleIn")}
	var errs [4]error
	var grace *int
	u.Min, errs[0] = f.number("MinSize")
	u.Max, errs[1] = f.number("MaxSize")
	u.Desired, errs[2] = f.number("DesiredCapacity")
	grace, errs[3] = f.number("HealthCheckGracePeriod")
	if err := first(append(errs[:], f.need(groupName))...); err != nil {
		return nil, err
	}
	if grace != nil {
		d := time.Duration(*grace) * time.Second
		u.HealthGrace = &d
	}
	if v := f.Get("LaunchTemplate.Version"); v != "" {
		u.TemplateVersion = &v
	}
	return nil, w.UpdateGroup(now, f.Get(groupName), u)
}

func deleteGroup(w *world.World, now time.Time, f form) (any, error) {
	return nil, first(f.need(groupName), w.DeleteGroup(now, f.Get(groupName), isTrue(f.boolean("ForceDelete"))))
}

func describeGroups(w *world.World, now time.Time, f form) (any, error) {
	list, next, err := page(f, w.Groups(now, f.list("AutoScalingGroupNames")...), 50)
	if err != nil {
		return nil, err
	}
	out := groupsResult{NextToken: next}
	for _, g := range list {
		out.Groups = append(out.Groups, groupXML(g))
	}
	return out, nil
}

func describeInstances(w *world.World, now time.Time, f form) (any, error) {
	list, next, err := page(f, w.Instances(now, f.list("InstanceIds")...), 50)
	if err != nil {
		return nil, err
	}
	out := instancesResult{NextToken: next}
	for _, i := range list {
		out.Instances = append(out.Instances, instanceXML(i, true))
	}
	return out, nil
}

func describeActivities(w *world.World, now time.Time, f form) (any, error) {
	var all []world.Activity
	for _, g := range w.Groups(now) {
		if n := f.Get(groupName); n == "" || n == g.Name {
			list, err := w.Activities(now, g.Name)
			if err != nil {
				return nil, err
			}
			all = append(all, list...)
		}
	}
	if n := f.Get(groupName); n != "" && len(w.Groups(now, n)) == 0 {
		return nil, &world.APIError{Code: "ValidationError", Message: "AutoScalingGroup name not found - AutoScalingGroup " + n + " not found"}
	}
	if ids := f.list("ActivityIds"); len(ids) > 0 {
		all = slices.DeleteFunc(all, func(a world.Activity) bool { return !slices.Contains(ids, a.ID) })
	}
	list, next, err := page(f, all, 100)
	if err != nil {
		return nil, err
	}
	return activitiesResult{Activities: activitiesXML(list), NextToken: next}, nil
}

func describeHooks(w *world.World, now time.Time, f form) (any, error) {
	if err := f.need(groupName); err != nil {
		return nil, err
	}
	hooks, err := w.Hooks(now, f.Get(groupName))
	if err != nil {
		return nil, err
	}
	names := f.list("LifecycleHookNames")
	var out hooksResult
	for _, h := range hooks {
		if len(names) == 0 || slices.Contains(names, h.Name) {
			out.Hooks = append(out.Hooks, hookXML(f.Get(groupName), h))
		}
	}
	return out, nil
}

func putHook(w *world.World, now time.Time, f form) (any, error) {
	heartbeat, err := f.number("HeartbeatTimeout")
	if err := first(f.need(groupName, "LifecycleHookName"), err); err != nil {
		return nil, err
	}
	h := world.Hook{Name: f.Get("LifecycleHookName"), Transition: f.Get("LifecycleTransition"), DefaultResult: f.Get("DefaultResult")}
	if heartbeat != nil {
		h.HeartbeatTimeout = time.Duration(*heartbeat) * time.Second
	}
	return struct{}{}, w.PutHook(now, f.Get(groupName), h)
}

func deleteHook(w *world.World, now time.Time, f form) (any, error) {
	return struct{}{}, w.DeleteHook(now, f.Get(groupName), f.Get("LifecycleHookName"))
}

func completeAction(w *world.World, now time.Time, f form) (any, error) {
	if err := f.need(groupName, "LifecycleHookName", "LifecycleActionResult"); err != nil {
		return nil, err
	}
	return struct{}{}, w.Complete(now, f.Get(groupName), f.Get("LifecycleHookName"), f.Get("InstanceId"), f.Get("LifecycleActionResult"))
}

func recordHeartbeat(w *world.World, now time.Time, f form) (any, error) {
	if err := f.need(groupName, "LifecycleHookName"); err != nil {
		return nil, err
	}
	return struct{}{}, w.Heartbeat(now, f.Get(groupName), f.Get("LifecycleHookName"), f.Get("InstanceId"))
}

func setDesired(w *world.World, now time.Time, f form) (any, error) {
	n, err := f.number("DesiredCapacity")
	if err := first(f.need(groupName, "DesiredCapacity"), err); err != nil {
		return nil, err
	}
	return nil, w.SetDesired(now, f.Get(groupName), *n)
}

func setProtection(w *world.World, now time.Time, f form) (any, error) {
	if err := f.need(groupName, "ProtectedFromScaleIn"); err != nil {
		return nil, err
	}
	return struct{}{}, w.Protect(now, f.Get(groupName), isTrue(f.boolean("ProtectedFromScaleIn")), f.list("InstanceIds")...)
}

func setHealth(w *world.World, now time.Time, f form) (any, error) {
	if err := f.need("InstanceId", "HealthStatus"); err != nil {
		return nil, err
	}
	status := f.Get("HealthStatus")
	if status != "Healthy" && status != "Unhealthy" {
		return nil, &world.APIError{Code: "ValidationError", Message: "Valid instance health states are: [Healthy, Unhealthy]"}
	}
	respect := f.boolean("ShouldRespectGracePeriod")
	return nil, w.SetHealth(now, f.Get("InstanceId"), status == "Healthy", respect == nil || *respect)
}

func terminate(w *world.World, now time.Time, f form) (any, error) {
	if err := f.need("InstanceId", "ShouldDecrementDesiredCapacity"); err != nil {
		return nil, err
	}
	a, err := w.Terminate(now, f.Get("InstanceId"), isTrue(f.boolean("ShouldDecrementDesiredCapacity")))
	if err != nil {
		return nil, err
	}
	return activityResult{Activity: activityXML(a)}, nil
}

func enterStandby(w *world.World, now time.Time, f form) (any, error) {
	return activities(w.EnterStandby(now, f.Get(groupName), isTrue(f.boolean("ShouldDecrementDesiredCapacity")), f.list("InstanceIds")...))
}

func exitStandby(w *world.World, now time.Time, f form) (any, error) {
	return activities(w.ExitStandby(now, f.Get(groupName), f.list("InstanceIds")...))
}

func detach(w *world.World, now time.Time, f form) (any, error) {
	return activities(w.Detach(now, f.Get(groupName), isTrue(f.boolean("ShouldDecrementDesiredCapacity")), f.list("InstanceIds")...))
}

func activities(list []world.Activity, err error) (any, error) {
	return activitiesResult{Activities: activitiesXML(list)}, err
}

func suspend(w *world.World, now time.Time, f form) (any, error) {
	processes := f.list("ScalingProcesses")
	if len(processes) == 0 {
		processes = []string{"Launch", "Terminate", "ReplaceUnhealthy"}
	}
	return nil, w.Suspend(now, f.Get(groupName), processes...)
}

func resume(w *world.World, now time.Time, f form) (any, error) {
	return nil, w.Resume(now, f.Get(groupName), f.list("ScalingProcesses")...)
}

// page cuts a list as MaxRecords and NextToken say; the token is the place to go
// on at.
func page[T any](f form, list []T, size int) (part []T, next string, err error) {
	limit, err := f.number("MaxRecords")
	if err != nil {
		return nil, "", err
	}
	if limit != nil {
		if *limit < 1 || *limit > 100 {
			return nil, "", &world.APIError{Code: "ValidationError", Message: "The parameter MaxRecords must be between 1 and 100"}
		}
		size = *limit
	}
	from := 0
	if t := f.Get("NextToken"); t != "" {
		if from, err = strconv.Atoi(t); err != nil || from < 0 || from > len(list) {
			return nil, "", &world.APIError{Code: "InvalidNextToken", Message: "The NextToken value is not valid."}
		}
	}
	to := min(from+size, len(list))
	if to < len(list) {
		next = strconv.Itoa(to)
	}
	return list[from:to], next, nil
}

func isTrue(b *bool) bool { return b != nil && *b }

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
