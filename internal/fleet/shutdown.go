package fleet

// Shutdown is whether, and how, the whole machine is going down.
type Shutdown string

// The ways down. The zero value is none: unknown is no shutdown.
const (
	NotGoingDown Shutdown = ""
	// Reboot comes back with what is on disk: reboot, kexec, soft-reboot.
	Reboot Shutdown = "reboot"
	// PowerOff may never come back: power-off, halt, and the end of a container's
	// manager (systemctl exit), which is a container's power-off.
	PowerOff Shutdown = "power-off"
)
