package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// The Debian packages that hold what is needed.
const (
	qemuPackage   = "qemu-system-x86"
	kernelPackage = "linux-image-cloud-amd64"
)

// tools are what it takes to boot a machine.
type tools struct {
	qemu     string
	firmware []string // options that tell where that is
	env      []string
	kernel   string
}

// findTools looks for the tools among what is installed and what has been downloaded, and downloads them if get says so.
func findTools(kernel string, get bool) (tools, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return tools{}, err
	}
	cache = filepath.Join(cache, "sessionmap-machine")
	t := tools{kernel: kernel}
	t.find(cache)
	if get {
		err := t.fetch(cache)
		if err != nil {
			return tools{}, err
		}
		t.find(cache)
	}
	var missing []string
	if t.qemu == "" {
		missing = append(missing, "qemu-system-x86_64 (Debian package "+qemuPackage+")")
	}
	if t.kernel == "" {
		missing = append(missing, "a Linux kernel for amd64, given by -kernel (Debian package "+kernelPackage+", which need not be installed)")
	}
	if missing != nil {
		return tools{}, fmt.Errorf("machine: missing: %s; on Debian, -fetch downloads that without installing it", strings.Join(missing, ", and "))
	}
	return t, nil
}

func (t *tools) find(cache string) {
	if t.kernel == "" {
		t.kernel = last(filepath.Join(cache, "boot/vmlinuz-*-amd64"))
	}
	if t.kernel == "" && runtime.GOARCH == "amd64" {
		t.kernel = last("/boot/vmlinuz-*-amd64")
	}
	const name = "qemu-system-x86_64"
	if installed, err := exec.LookPath(name); err == nil {
		t.qemu = installed
		return
	}
	unpacked := filepath.Join(cache, "usr/bin", name)
	if _, err := os.Stat(unpacked); err != nil {
		return
	}
	libraries := filepath.Join(cache, "usr/lib/x86_64-linux-gnu")
	t.qemu = unpacked
	t.firmware = []string{"-L", filepath.Join(cache, "usr/share/qemu"), "-L", filepath.Join(cache, "usr/share/seabios")}
	t.env = []string{
		"QEMU_MODULE_DIR=" + filepath.Join(libraries, "qemu"),
		"LD_LIBRARY_PATH=" + strings.Join([]string{libraries, filepath.Join(cache, "lib/x86_64-linux-gnu"), filepath.Join(libraries, "pulseaudio")}, ":"),
	}
}

// last returns the file that comes last of those that match and can be read; "" if there is none.
func last(pattern string) string {
	files, _ := filepath.Glob(pattern) // the pattern is well formed
	for _, file := range slices.Backward(files) {
		if f, err := os.Open(file); err == nil {
			f.Close()
			return file
		}
	}
	return ""
}

// fetch downloads what has not been found, and unpacks it in the directory to.
func (t *tools) fetch(to string) error {
	var packages []string
	if t.qemu == "" {
		needed, err := toInstall(qemuPackage)
		if err != nil {
			return err
		}
		packages = append(packages, needed...)
	}
	if t.kernel == "" {
		needed, err := toInstall(kernelPackage)
		if err != nil {
			return err
		}
		packages = append(packages, slices.DeleteFunc(needed, func(name string) bool {
			return !strings.HasPrefix(name, "linux-image-") || name == kernelPackage // which is empty
		})...)
	}
	if len(packages) == 0 {
		return nil
	}
	scratch, err := os.MkdirTemp("", "machine-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	fmt.Printf("downloading %d packages into %s\n", len(packages), to)
	if _, err := output(scratch, "apt-get", append([]string{"download"}, packages...)...); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(scratch, "*.deb"))
	if err != nil || len(files) == 0 {
		return errors.Join(errors.New("machine: apt-get downloaded nothing"), err)
	}
	for _, file := range files {
		if _, err := output(scratch, "dpkg-deb", "-x", file, to); err != nil {
			return err
		}
	}
	return nil
}

// toInstall returns the packages that would have to be installed for the named one, itself included.
func toInstall(name string) (packages []string, err error) {
	text, err := output("", "apt-get", "install", "--simulate", "--no-install-recommends", name)
	if err != nil {
		return nil, fmt.Errorf("%w\n(apt-get update may help)", err)
	}
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "Inst" {
			packages = append(packages, words[1])
		}
	}
	return packages, nil
}

func output(dir, name string, args ...string) (string, error) {
	c := exec.Command(name, args...)
	c.Dir = dir
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		err = fmt.Errorf("machine: %v: %w\n%s", c.Args, err, strings.TrimSpace(stderr.String()))
	}
	return string(out), err
}
