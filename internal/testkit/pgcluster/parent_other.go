//go:build unix && !linux

package pgcluster

import "syscall"

// endWithUs has no means here: Stop ends the server.
func endWithUs(*syscall.SysProcAttr) {}
