package engine

import (
	"fmt"
	"syscall"
	"unsafe"
)

// kernelAction is the kernel's struct sigaction on amd64 and arm64 (not libc's).
type kernelAction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

const signalCount = 64

func signalAction(signal int, set, old *kernelAction) syscall.Errno {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(signal),
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
	return errno
}

// keepSignalHandlers runs f and then puts back every signal handler it changed:
// the library resets the process's handlers (Go's among them) when it connects.
func keepSignalHandlers(f func()) error {
	var saved [signalCount + 1]kernelAction
	for s := 1; s <= signalCount; s++ {
		if errno := signalAction(s, nil, &saved[s]); errno != 0 {
			return fmt.Errorf("engine: read handler of signal %d: %w", s, errno)
		}
	}
	f()
	for s := 1; s <= signalCount; s++ {
		if s == int(syscall.SIGKILL) || s == int(syscall.SIGSTOP) {
			continue
		}
		if errno := signalAction(s, &saved[s], nil); errno != 0 {
			return fmt.Errorf("engine: restore handler of signal %d: %w", s, errno)
		}
	}
	return nil
}
