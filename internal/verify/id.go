package verify

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"

	"github.com/google/uuid"
)

// ID is a verification's key: positive, unique in an installation, and growing
// with time, so that rows are written in the order of their key. From the top:
// 41 bits of milliseconds since 2024-01-01 UTC (until 2093), 10 bits of node,
// 12 bits of sequence.
type ID int64

// epoch is 2024-01-01T00:00:00Z in Unix milliseconds.
const epoch = 1704067200000

const (
	nodeBits = 10
	seqBits  = 12
	seqMask  = 1<<seqBits - 1
	nodeMask = 1<<nodeBits - 1
)

// Node numbers a running process among those that share a database. A store
// hands out the next one at each start (0 to 1023, then round again), so that
// two processes mint no equal ID and a restarted one repeats none, even when
// its clock was set back.
type Node int

// Nodes is how many different Node numbers there are.
const Nodes = nodeMask + 1

func (id ID) millis() int64 { return int64(id)>>(nodeBits+seqBits) + epoch }

// Time returns the moment at which the ID was minted, to the millisecond.
func (id ID) Time() time.Time { return time.UnixMilli(id.millis()).UTC() }

// IDAt returns the smallest ID that can be minted at t: a bound for ranges.
func IDAt(t time.Time) ID { return ID((t.UnixMilli() - epoch) << (nodeBits + seqBits)) }

// IDs mints IDs. Its methods may be called concurrently.
type IDs struct {
	node Node
	now  func() time.Time

	mu   sync.Mutex
	last int64 // milliseconds since epoch ‖ sequence
}

// NewIDs returns a mint for node; now is the clock.
func NewIDs(node Node, now func() time.Time) *IDs {
	return &IDs{node: node & nodeMask, now: now}
}

// Next mints an ID greater than all before it, even when the clock goes back or
// more than 4096 are asked for in a millisecond (it then borrows from the next).
func (m *IDs) Next() ID {
	tick := (m.now().UnixMilli() - epoch) << seqBits
	m.mu.Lock()
	m.last = max(tick, m.last+1)
	last := m.last
	m.mu.Unlock()
	return ID(last>>seqBits<<(nodeBits+seqBits) | int64(m.node)<<seqBits | last&seqMask)
}

// NewRequestID makes the public request id of a verification: a UUID version 7
// (RFC 9562 section 5.7) whose time, sequence and node are the ID's and whose
// last 52 bits are random. The row is found by RequestKey; the row's copy must
// then equal the whole.
func NewRequestID(id ID) uuid.UUID {
	var u uuid.UUID
	rand.Read(u[8:])
	binary.BigEndian.PutUint64(u[:8], uint64(id.millis())<<16|7<<12|uint64(id)&seqMask)
	node := uint16(id>>seqBits) & nodeMask
	u[8] = 0b10<<6 | byte(node>>4)
	u[9] = byte(node<<4) | u[9]&0x0F
	return u
}

// RequestKey returns the ID inside a request id, or false where u can't be one.
func RequestKey(u uuid.UUID) (ID, bool) {
	head := binary.BigEndian.Uint64(u[:8])
	millis := int64(head>>16) - epoch
	if u.Version() != 7 || u.Variant() != uuid.RFC4122 || millis <= 0 || millis >= 1<<41 {
		return 0, false
	}
	node := int64(u[8]&0x3F)<<4 | int64(u[9]>>4)
	return ID(millis<<(nodeBits+seqBits) | node<<seqBits | int64(head&seqMask)), true
}

// NewSessionID makes a random session id: a UUID version 4 (RFC 9562 section 5.4).
func NewSessionID() uuid.UUID {
	var u uuid.UUID
	rand.Read(u[:])
	u[6] = u[6]&0x0F | 0x40
	u[8] = u[8]&0x3F | 0x80
	return u
}
