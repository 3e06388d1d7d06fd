package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"mailwhy/logparse/spool"
)

// The bounds of what waits between the socket and the spools.
const (
	mostWaiting      = 4096     // datagrams
	mostWaitingBytes = 16 << 20 // of all
	together         = 512      // written at once
)

// datagram is a line on its way to a spool.
type datagram struct {
	to   *spool.Spool
	line []byte
}

// receive takes datagrams, a message in each (RFC 5426 section 3.1), until ctx
// ends. They are written beside the receiving, so that a burst waits here and
// not in the kernel, which drops what it has no room for and tells nobody.
func (l *Listener) receive(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = l.packets.Close() })
	defer stop()
	waiting := make(chan datagram, mostWaiting)
	var bytes atomic.Int64
	var writing sync.WaitGroup
	defer writing.Wait()
	defer close(waiting)
	writing.Go(func() { l.write(waiting, &bytes) })
	buffer := make([]byte, 64<<10) // no datagram is longer
	for {
		n, sender, err := l.packets.ReadFrom(buffer)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("receive syslog datagrams: %w", err)
		}
		if err != nil {
			pause(ctx, 10*time.Millisecond)
			continue
		}
		from := address(sender)
		to := l.options.Spool(from)
		if to == nil {
			l.count(func(s *Stats) { s.Refused++ })
			continue
		}
		line := l.datagramLine(buffer[:n], from)
		if line == nil {
			continue
		}
		if bytes.Load() > mostWaitingBytes {
			l.count(func(s *Stats) { s.Dropped++ })
			continue
		}
		select {
		case waiting <- datagram{to, line}:
			bytes.Add(int64(len(line)))
		default:
			l.count(func(s *Stats) { s.Dropped++ })
		}
	}
}

// datagramLine is a copy of a datagram's line, cut where it is too long.
func (l *Listener) datagramLine(message []byte, from netip.Addr) []byte {
	if longest := l.options.LongestLine; len(message) > longest {
		message = message[:longest]
		l.count(func(s *Stats) { s.Cut++ })
	}
	line := oneLine(message, from, l.options.Now())
	if line == nil {
		return nil
	}
	return append([]byte(nil), line...)
}

// write puts what waits into the spools until waiting is closed and empty.
func (l *Listener) write(waiting <-chan datagram, bytes *atomic.Int64) {
	for first := range waiting {
		batch := []datagram{first}
		for more := true; more && len(batch) < together; {
			select {
			case d, open := <-waiting:
				if more = open; open {
					batch = append(batch, d)
				}
			default:
				more = false
			}
		}
		for to, lines := range bySpool(batch) {
			taken, _ := to.Offer(lines) // the spool says why, on the Sources screen
			l.count(func(s *Stats) { s.Lines += int64(taken); s.Dropped += int64(len(lines) - taken) })
		}
		for _, d := range batch {
			bytes.Add(-int64(len(d.line)))
		}
	}
}

func bySpool(batch []datagram) map[*spool.Spool][][]byte {
	lines := map[*spool.Spool][][]byte{}
	for _, d := range batch {
		lines[d.to] = append(lines[d.to], d.line)
	}
	return lines
}
