package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// units are those that are probed. gitlab-runner.service is not among them: it
// runs the jobs.
var units = strings.Fields(every)

const (
	start   = "runner-init.service"
	monitor = "monitor-jobs.service"
	scaleUp = "scale-up.service"
	check   = "lifecycle-check.service"
	ending  = "runner-shutdown.service unreg-runner.service" // both end jobs at a deadline
	config  = start + " " + monitor + " " + ending           // write config.toml
	roots   = config + " " + check
	away    = "shoal-reap.service shoal-webhook.service" // off the instances
	every   = roots + " " + scaleUp + " " + away
	none    = ""
	// hidden marks what a container or an old kernel cannot forbid: there all may.
	hidden = " hidden"
)

// trial tries one thing, and leaves no trace where it succeeds.
type trial struct {
	name string
	may  string // the units that may
	try  func() error
}

// theirs is a file that is another user's alone.
const theirs = "/var/lib/.shoal-probe"

var probes = []trial{
	// Its own folders, and no others.
	{"write in /run/shoal", roots, writing("/run/shoal")},
	{"write in /run/shoal/scale-up", scaleUp, writing("/run/shoal/scale-up")},
	{"write in /var/lib/shoal", start + " " + ending, writing("/var/lib/shoal")},
	{"write in /etc/gitlab-runner", config, writing("/etc/gitlab-runner")},
	{"write in /etc/shoal", none, writing("/etc/shoal")},
	{"write in /etc", none, writing("/etc")},
	{"write in /etc/systemd/system", none, writing("/etc/systemd/system")},
	{"write in /run/systemd/system", none, writing("/run/systemd/system")},
	{"write in /usr/bin", none, writing("/usr/bin")},
	{"write in /var/lib", none, writing("/var/lib")},
	{"write in /run", none, writing("/run")},
	{"write in /root", none, writing("/root")},
	{"write in /home", none, writing("/home")},
	{"write in /dev/shm", none, writing("/dev/shm")},
	{"write to a cgroup", none, appending("/sys/fs/cgroup/cgroup.subtree_control")},
	{"write to /proc/sys", none, appending("/proc/sys/kernel/domainname")},

	// What is not its own.
	{"read the registration's folder", start + " " + ending, reading("/var/lib/shoal/.shoal-probe")},
	{"read gitlab-runner's folder", roots, reading("/etc/gitlab-runner/.shoal-probe")},
	{"read root's home", none, reading("/root/.shoal-probe")},
	{"read a home", none, reading("/home/.shoal-probe")},
	{"read another user's file", none, reading(theirs)},
	{"read the passwords", none, reading("/etc/shadow")},
	{"read the kernel's log", none, reading("/dev/kmsg")},
	{"see another user's process", ending + hidden, func() error {
		_, err := os.Stat(filepath.Join("/proc", strconv.Itoa(otherProcess())))
		return err
	}},
	{"signal another user's process", ending, func() error { return unix.Kill(otherProcess(), 0) }},
	{"read another process's memory", none, reading("/proc/1/mem")},
	{"see what others keep in /tmp", none, func() error { return private("/tmp") }},

	// More rights.
	{"become another user", none, func() error { return unix.Setresuid(nobody, nobody, nobody) }},
	{"give a file away", none, func() error { return inOwnFile(func(path string) error { return os.Chown(path, nobody, nobody) }) }},
	{"make a set-user-id file", none, func() error { return inOwnFile(func(path string) error { return unix.Chmod(path, 0o4755) }) }},
	{"hold a capability but to end jobs", none, func() error { return capability(^uint32(1 << unix.CAP_KILL)) }},
	{"hold the capability to end jobs", ending, func() error { return capability(1 << unix.CAP_KILL) }},
	{"gain rights by a program", none, func() error {
		on, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
		return errors.Join(err, refused(on == 1, "no_new_privs is set"))
	}},

	// The system.
	{"mount", none, func() error { return unix.Mount("none", "/mnt", "tmpfs", 0, "") }},
	{"make a user namespace", none, func() error { return unix.Unshare(unix.CLONE_NEWUSER) }},
	{"make a mount namespace", none, func() error { return unix.Unshare(unix.CLONE_NEWNS) }},
	{"change the host's name", none, func() error { return unix.Sethostname([]byte("probe")) }},
	{"set the clock", none, func() error { _, err := unix.Adjtimex(&unix.Timex{Modes: 1}); return err }},
	{"load a kernel module", none, func() error { return unix.InitModule([]byte{0}, "") }},
	{"trace a process", none, func() error { return unix.PtraceAttach(otherProcess()) }},
	{"be scheduled in real time", none, func() error {
		return unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0)
	}},
	{"write code and run it", none, func() error {
		page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err == nil {
			_ = unix.Munmap(page)
		}
		return err
	}},
	{"open a raw socket", none, socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)},
	{"open a packet socket", none, socket(unix.AF_PACKET, unix.SOCK_RAW, 0)},
	{"open a netlink socket", none, socket(unix.AF_NETLINK, unix.SOCK_RAW, 0)},

	// What it does need.
	{"open a socket to the network", every, socket(unix.AF_INET, unix.SOCK_STREAM, 0)},
	{"open one by IPv6", every, socket(unix.AF_INET6, unix.SOCK_DGRAM, 0)},
	{"read its configuration's folder", every, func() error { _, err := os.ReadDir("/etc/shoal"); return err }},
	{"read what the others keep", every, func() error { _, err := os.ReadDir("/run/shoal"); return err }},
	{"take hold of a process", every, func() error {
		fd, err := unix.PidfdOpen(os.Getpid(), 0)
		if err == nil {
			err = unix.Close(fd)
		}
		return err
	}},
	{"ask systemd about a unit", every, func() error {
		return exec.Command("systemctl", "show", "--property=ActiveState,Job", "gitlab-runner.service", "reboot.target").Run()
	}},
	{"stop and start units", roots, func() error { return asks("--no-block", "start", bystander) }},
	{"signal a unit", roots, func() error { return asks("kill", "--signal=WINCH", bystander) }},
}

// bystander is a unit that stays up meanwhile, for nothing.
const bystander = "shoal-probe-bystander.service"

func asks(args ...string) error {
	return exec.Command("systemctl", append([]string{"--no-ask-password"}, args...)...).Run() //nolint:gosec // the lines above
}

func writing(dir string) func() error {
	return func() error {
		f, err := os.CreateTemp(dir, ".shoal-probe-*")
		if err != nil {
			return err
		}
		return errors.Join(f.Close(), os.Remove(f.Name()))
	}
}

func appending(path string) func() error {
	return func() error {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return f.Close()
	}
}

func reading(path string) func() error {
	return func() error {
		f, err := os.Open(path) //nolint:gosec // the probes' own list
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // nothing was written
		_, err = f.Read(make([]byte, 1))
		return err
	}
}

func socket(domain, kind, protocol int) func() error {
	return func() error {
		fd, err := unix.Socket(domain, kind, protocol)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	}
}

// inOwnFile tries something on a new file in a folder that the unit may write.
func inOwnFile(try func(path string) error) error {
	f, err := os.CreateTemp("/run/shoal", ".shoal-probe-*")
	if err != nil {
		f, err = os.CreateTemp("/run/shoal/scale-up", ".shoal-probe-*")
	}
	if err != nil {
		return err
	}
	return errors.Join(try(f.Name()), f.Close(), os.Remove(f.Name()))
}

// capability tells whether one of these (of the first 32) is permitted.
func capability(mask uint32) error {
	var data [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	upper := data[1].Permitted
	if mask == 1<<unix.CAP_KILL {
		upper = 0
	}
	return refused(data[0].Permitted&mask == 0 && upper == 0, fmt.Sprintf("permitted are %x", data[0].Permitted))
}

// private tells by an error that a folder is the unit's own: it is empty.
func private(dir string) error {
	files, err := os.ReadDir(dir)
	return errors.Join(err, refused(len(files) == 0, dir+" is empty"))
}

func refused(yes bool, why string) error {
	if yes {
		return errors.New(why)
	}
	return nil
}
