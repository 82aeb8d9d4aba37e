// The new root: a small file system in memory with the plan's files, all read-only but the scratch directory.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

const (
	quiet    = syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC
	readOnly = syscall.MS_RDONLY
)

func mount(source, target, kind string, flags uintptr, data string) {
	check("mount "+target, syscall.Mount(source, target, kind, flags, data))
}

func makeDirectory(path string) {
	check("make "+path, os.MkdirAll(path, 0o755))
}

// bind shows what is at `path` of the host under the same path of the root. Flags need a second call: the first one ignores them.
func bind(root, path string, flags uintptr) {
	mount(path, root+path, "", syscall.MS_BIND, "")
	mount("", root+path, "", syscall.MS_REMOUNT|syscall.MS_BIND|flags, "")
}

func bindFile(root, path string, flags uintptr) {
	makeDirectory(root + filepath.Dir(path))
	fd, err := syscall.Open(root+path, syscall.O_CREAT|syscall.O_EXCL|syscall.O_WRONLY|syscall.O_CLOEXEC, 0o444)
	check("make "+root+path, err)
	syscall.Close(fd)
	bind(root, path, flags)
}

func enterRoot(p plan) {
	check("unshare", call(syscall.SYS_UNSHARE, syscall.CLONE_NEWNS|syscall.CLONE_NEWIPC|syscall.CLONE_NEWUTS, 0, 0))
	check("name the host", syscall.Sethostname([]byte("jail")))
	mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
	mount("jail", p.root, "tmpfs", quiet, "mode=755,size=64k,nr_inodes=128")
	for _, one := range p.links {
		makeDirectory(p.root + filepath.Dir(one.path))
		check("link "+one.path, os.Symlink(one.target, p.root+one.path))
	}
	for _, path := range p.directories {
		makeDirectory(p.root + path)
		bind(p.root, path, readOnly|syscall.MS_NOSUID|syscall.MS_NODEV)
	}
	for _, path := range p.files {
		bindFile(p.root, path, readOnly|syscall.MS_NOSUID|syscall.MS_NODEV)
	}
	for _, path := range p.devices {
		bindFile(p.root, path, syscall.MS_NOSUID|syscall.MS_NOEXEC)
	}
	makeDirectory(p.root + "/proc")
	mount("proc", p.root+"/proc", "proc", quiet|readOnly, "hidepid=invisible,subset=pid")
	makeDirectory(p.root + p.scratch)
	options := fmt.Sprintf("mode=700,uid=%d,gid=%d,size=%d,nr_inodes=64", p.uid, p.uid, p.scratchBytes)
	mount("scratch", p.root+p.scratch, "tmpfs", quiet, options)
	mount("", p.root, "", syscall.MS_REMOUNT|syscall.MS_BIND|quiet|readOnly, "")
	leaveOldRoot(p.root)
}

func leaveOldRoot(root string) {
	check("enter "+root, syscall.Chdir(root))
	// With the same directory twice the old root lies on top of the new one, from where it is taken away.
	err := syscall.PivotRoot(".", ".")
	if err == syscall.EINVAL {
		// The kernel's first root, an initramfs, cannot be moved. The new root is moved over it; without capabilities nothing leads back.
		mount(".", "/", "", syscall.MS_MOVE, "")
		check("change the root", syscall.Chroot("."))
	} else {
		check("change the root", err)
		check("leave the old root", syscall.Unmount(".", syscall.MNT_DETACH))
	}
	check("enter the root", syscall.Chdir("/"))
}
