package sqlite

import (
	"sync"
	"sync/atomic"
)

// checkpointPages is after how many written pages the log is moved into the
// database; SQLite's own default.
const checkpointPages = 1000

// checkpoints move what is committed from the log into the database, so that the
// log starts again and stays small.
//
// By default the writer does it at a commit, and everyone waits while it copies
// some thousand pages and syncs the database. Here another connection copies
// them beside the writer. But writes go on meanwhile, and the log starts again
// only when nothing is left in it to copy: so the writer then copies the few
// pages that have come since, between two transactions.
type checkpoints struct {
	conn    *conn
	wake    chan struct{}
	ended   chan struct{}
	stopped sync.Once

	pages  int         // written since the last one; the writer's
	copied atomic.Bool // all but the last pages: the writer may finish
}

func startCheckpoints(c *conn) *checkpoints {
	p := &checkpoints{conn: c, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go p.loop()
	return p
}

func (p *checkpoints) loop() {
	defer close(p.ended)
	for range p.wake {
		p.conn.checkpoint()
		p.copied.Store(true)
	}
}

// stop waits for a copy that is under way. The writer must have ended.
func (p *checkpoints) stop() {
	p.stopped.Do(func() { close(p.wake) })
	<-p.ended
}

// afterCommit is called by the writer, outside any transaction, after it has
// answered.
func (p *checkpoints) afterCommit(writer *conn) {
	p.pages += writer.pagesWritten()
	if p.copied.Swap(false) {
		writer.checkpoint()
		p.pages = 0
	}
	if p.pages >= checkpointPages {
		p.pages = 0
		select {
		case p.wake <- struct{}{}:
		default: // it is at it
		}
	}
}
