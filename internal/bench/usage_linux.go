package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// clockTick is USER_HZ, 100 on every architecture that Go runs Linux on.
const clockTick = time.Second / 100

// UsageOf reads what the process has used: CPU time from /proc/PID/stat (fields
// 14 and 15), memory from /proc/PID/status.
func UsageOf(pid int) (Usage, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, false
	}
	// The second field is the command in parentheses and may hold spaces.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return Usage{}, false
	}
	user, _ := strconv.ParseInt(string(fields[11]), 10, 64)
	system, _ := strconv.ParseInt(string(fields[12]), 10, 64)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Usage{}, false
	}
	return Usage{
		CPU:    time.Duration(user+system) * clockTick,
		Memory: kilobytes(status, "VmRSS:"),
		Peak:   kilobytes(status, "VmHWM:"),
	}, true
}

func kilobytes(status []byte, key string) int64 {
	_, rest, _ := bytes.Cut(status, []byte(key))
	fields := bytes.Fields(rest[:min(len(rest), 64)])
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(string(fields[0]), 10, 64)
	return n << 10
}

// machineBusy is how long all cores together were busy since the machine
// started: /proc/stat's first line without idle and waiting for disks.
func machineBusy() (time.Duration, bool) {
	stat, err := os.ReadFile("/proc/stat")
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := bytes.Fields(line)
	if err != nil || len(fields) < 9 {
		return 0, false
	}
	var busy int64
	for i, field := range fields[1:9] { // user nice system idle iowait irq softirq steal
		if n, _ := strconv.ParseInt(string(field), 10, 64); i != 3 && i != 4 {
			busy += n
		}
	}
	return time.Duration(busy) * clockTick, true
}
