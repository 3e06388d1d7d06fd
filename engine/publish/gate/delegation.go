package gate

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/mail"
)

// The bounds of one delegation request, in bytes, and of an idle connection.
const (
	longestRequest = 64 << 10
	longestIdle    = time.Hour
)

// Delegation serves Postfix's policy delegation protocol (SMTPD_POLICY_README)
// until ctx ends. It decides at RCPT by the envelope alone: the protocol does
// not carry the header, so a policy on the header from, or Both by way of the
// header, is not enforced here. A message that passes gets DUNNO, never OK.
func (g *Gate) Delegation(ctx context.Context, l net.Listener) error {
	var open sync.WaitGroup
	defer open.Wait()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept on %s: %w", l.Addr(), err)
		}
		open.Go(func() {
			defer conn.Close()
			bye := context.AfterFunc(ctx, func() { conn.Close() })
			defer bye()
			g.delegate(conn)
		})
	}
}

// delegate answers requests until the client leaves or breaks the protocol.
func (g *Gate) delegate(conn net.Conn) {
	in := bufio.NewReaderSize(conn, longestRequest)
	for {
		if err := conn.SetReadDeadline(time.Now().Add(longestIdle)); err != nil {
			return
		}
		request, err := readRequest(in)
		if err != nil {
			return
		}
		if _, err := io.WriteString(conn, "action="+g.answer(request)+"\n\n"); err != nil {
			return
		}
	}
}

// readRequest reads name=value lines up to an empty one.
func readRequest(in *bufio.Reader) (map[string]string, error) {
	request := map[string]string{}
	for size := 0; ; {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		if size += len(line); size > longestRequest {
			return nil, fmt.Errorf("a request of more than %d bytes", longestRequest)
		}
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" {
			return request, nil
		}
		if name, value, ok := strings.Cut(text, "="); ok {
			request[name] = value
		}
	}
}

func (g *Gate) answer(request map[string]string) string {
	if request["request"] != "smtpd_access_policy" || request["protocol_state"] != "RCPT" {
		return "DUNNO"
	}
	m := mail.Message{EnvelopeFrom: path(request["sender"]), Recipient: path(request["recipient"]), QueueID: request["queue_id"],
		Client: mail.Client{IP: request["client_address"], Name: request["client_name"], Helo: request["helo_name"]}}
	reply := g.decide(g.o.Set(), &m, engine.MomentRcpt)
	if reply == nil {
		return "DUNNO"
	}
	return fmt.Sprintf("%d %s %s", reply.Code, reply.Enhanced, reply.Text)
}
