package main

import (
	"bytes"
	"fmt"
)

// initramfs returns a file system for the kernel to start from, in cpio's newc format, that holds nothing but a
// console and the program init.
func initramfs(init []byte) []byte {
	const (
		directory = 0o40755
		device    = 0o20600
		program   = 0o100755
	)
	var b bytes.Buffer
	inode := 0
	add := func(name string, mode, major, minor int, content []byte) {
		inode++
		fmt.Fprint(&b, "070701")
		for _, field := range []int{inode, mode, 0, 0, 1, 0, len(content), 0, 0, major, minor, len(name) + 1, 0} {
			fmt.Fprintf(&b, "%08x", field)
		}
		fmt.Fprintf(&b, "%s\x00", name)
		pad(&b)
		b.Write(content)
		pad(&b)
	}
	for _, dir := range []string{"dev", "proc", "sys"} {
		add(dir, directory, 0, 0, nil)
	}
	add("dev/console", device, 5, 1, nil) // before anything is mounted, init's output goes there
	add("init", program, 0, 0, init)
	add("TRAILER!!!", 0, 0, 0, nil)
	return b.Bytes()
}

// pad ends a header or file at a multiple of four bytes.
func pad(b *bytes.Buffer) {
	for b.Len()%4 != 0 {
		b.WriteByte(0)
	}
}
