package pgcluster

import "syscall"

// endWithUs makes the kernel tell the server to quit at once when we are gone.
func endWithUs(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGQUIT }
