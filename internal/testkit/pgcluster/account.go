//go:build unix

package pgcluster

import (
	"errors"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// account is whom the server runs as; nil is ourselves.
type account struct{ uid, gid int }

// unprivileged picks an account for the server where we are root.
func unprivileged() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, wrongUID := strconv.Atoi(found.Uid)
		gid, wrongGID := strconv.Atoi(found.Gid)
		if wrongUID == nil && wrongGID == nil {
			return &account{uid: uid, gid: gid}, nil
		}
	}
	return nil, errors.New("pgcluster: PostgreSQL does not run as root, and there is neither an account postgres nor one nobody")
}

// attributes make a child process run as who, in a process group of its own so
// that a Ctrl-C at the terminal does not end it before its clients, and end with us.
func attributes(who *account) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true}
	if who != nil {
		a.Credential = &syscall.Credential{Uid: uint32(who.uid), Gid: uint32(who.gid)}
	}
	endWithUs(a)
	return a
}
