// System calls that no VMM needs and that have led out of sandboxes before: refused, for good, beside QEMU's own filter.
// https://docs.kernel.org/userspace-api/seccomp_filter.html
package main

import (
	"syscall"
	"unsafe"
)

const (
	prSetSeccomp = 22
	modeFilter   = 2

	killProcess = 0x80000000
	refuse      = 0x00050000
	allow       = 0x7fff0000

	archX86_64 = 0xc000003e
	x32Bit     = 0x40000000

	load      = 0x20 // BPF_LD | BPF_W | BPF_ABS
	ifEqual   = 0x15 // BPF_JMP | BPF_JEQ | BPF_K
	ifAtLeast = 0x35 // BPF_JMP | BPF_JGE | BPF_K
	ifAnyBit  = 0x45 // BPF_JMP | BPF_JSET | BPF_K
	result    = 0x06 // BPF_RET | BPF_K

	offsetNumber        = 0
	offsetArch          = 4
	offsetFirstArgument = 16

	sysClone3 = 435
	// CLONE_NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
	newNamespaces = 0x80 | 0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x10000000 | 0x20000000 | 0x40000000
)

// Numbers are those of x86-64; the newer ones have no name in Go's library.
var refused = []uint32{
	syscall.SYS_UNSHARE, 308 /* setns */, syscall.SYS_MOUNT, syscall.SYS_UMOUNT2, syscall.SYS_PIVOT_ROOT, syscall.SYS_CHROOT,
	428 /* open_tree */, 429 /* move_mount */, 430 /* fsopen */, 431 /* fsconfig */, 432 /* fsmount */, 433 /* fspick */, 442, /* mount_setattr */
	303 /* name_to_handle_at */, 304 /* open_by_handle_at */, syscall.SYS_MKNOD, syscall.SYS_MKNODAT,
	syscall.SYS_PTRACE, 310 /* process_vm_readv */, 311 /* process_vm_writev */, 312 /* kcmp */, 438 /* pidfd_getfd */, 440, /* process_madvise */
	321 /* bpf */, 298 /* perf_event_open */, 323 /* userfaultfd */, 425, 426, 427, /* io_uring */
	syscall.SYS_ADD_KEY, syscall.SYS_REQUEST_KEY, syscall.SYS_KEYCTL, 300, /* fanotify_init */
	syscall.SYS_INIT_MODULE, 313 /* finit_module */, syscall.SYS_DELETE_MODULE, syscall.SYS_KEXEC_LOAD, 320, /* kexec_file_load */
	syscall.SYS_MODIFY_LDT, syscall.SYS_PERSONALITY, syscall.SYS_IOPL, syscall.SYS_IOPERM, syscall.SYS_SWAPON, syscall.SYS_SWAPOFF,
	syscall.SYS_REBOOT, syscall.SYS_ACCT, syscall.SYS_QUOTACTL, syscall.SYS_SYSLOG, syscall.SYS_USELIB,
}

type instruction struct {
	code          uint16
	ifTrue, ifNot uint8
	value         uint32
}

func filterProgram() []instruction {
	refusal := instruction{result, 0, 0, refuse | uint32(syscall.EPERM)}
	program := []instruction{
		{load, 0, 0, offsetArch},
		{ifEqual, 1, 0, archX86_64},
		{result, 0, 0, killProcess},
		{load, 0, 0, offsetNumber},
		{ifAtLeast, 0, 1, x32Bit},
		refusal,
	}
	for _, number := range refused {
		program = append(program, instruction{ifEqual, 0, 1, number}, refusal)
	}
	return append(program,
		// The C library falls back to clone, whose flags can be seen.
		instruction{ifEqual, 0, 1, sysClone3}, instruction{result, 0, 0, refuse | uint32(syscall.ENOSYS)},
		instruction{ifEqual, 0, 4, syscall.SYS_CLONE},
		instruction{load, 0, 0, offsetFirstArgument},
		instruction{ifAnyBit, 0, 1, newNamespaces}, refusal,
		instruction{result, 0, 0, allow},
		// Unix sockets only: the tap is open, and nothing else of the slot's network is a VMM's business.
		instruction{ifEqual, 0, 3, syscall.SYS_SOCKET},
		instruction{load, 0, 0, offsetFirstArgument},
		instruction{ifEqual, 1, 0, syscall.AF_UNIX}, refusal,
		instruction{result, 0, 0, allow},
	)
}

func filterSystemCalls() {
	program := filterProgram()
	header := struct {
		length uint16
		first  *instruction
	}{uint16(len(program)), &program[0]}
	check("filter system calls", call(syscall.SYS_PRCTL, prSetSeccomp, modeFilter, uintptr(unsafe.Pointer(&header))))
}
