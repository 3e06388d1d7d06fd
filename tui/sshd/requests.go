package sshd

import (
	"context"
	"strings"

	gossh "golang.org/x/crypto/ssh"

	"mailwhy/tui"
)

// channelRequests passes on what a client may ask on a session channel (RFC
// 4254 section 6) and refuses the rest: agent and X11 forwarding, subsystems,
// signals, breaks, environment beyond the terminal's. It ends when the client
// closes the channel, or the context ends.
func channelRequests(ctx context.Context, in <-chan *gossh.Request) <-chan *gossh.Request {
	out := make(chan *gossh.Request)
	go func() {
		defer close(out)
		variables, begun := 0, false
		for r := range in {
			switch r.Type {
			case "env":
				variables++
			case "shell", "exec":
				begun = true
			}
			early := r.Type == "window-change" && !begun // nobody would take it
			if early || variables > mostVariables || !permitted(r) {
				_ = r.Reply(false, nil) // a client that is gone does not wait for it
				continue
			}
			select {
			case out <- r:
			case <-ctx.Done():
				go gossh.DiscardRequests(in)
				return
			}
		}
	}()
	return out
}

// terminalVariables are all of the client's environment that is taken; TERM
// comes with the terminal itself.
var terminalVariables = [...]string{"LANG", "COLORTERM", "NO_COLOR"}

// mostVariables bounds how many variables are looked at: clients send what
// their configuration says, most of it not for us.
const mostVariables = 100

// mostRequest bounds a command line, in bytes; what is longer comes through
// standard input.
const mostRequest = 64 << 10

// permitted reports whether a request is one that is answered, after clamping
// the sizes in it.
func permitted(r *gossh.Request) bool {
	if len(r.Payload) > mostRequest {
		return false
	}
	switch r.Type {
	case "shell", "exec":
		return true
	case "env":
		var v struct{ Name, Value string }
		return gossh.Unmarshal(r.Payload, &v) == nil && permittedVariable(v.Name, v.Value)
	case "pty-req":
		var p struct {
			Term                            string
			Columns, Rows, PixelsX, PixelsY uint32
			Modes                           string
		}
		if gossh.Unmarshal(r.Payload, &p) != nil || !plainValue(p.Term) {
			return false
		}
		p.Columns, p.Rows = clamp(p.Columns, p.Rows)
		p.PixelsX, p.PixelsY, p.Modes = 0, 0, ""
		r.Payload = gossh.Marshal(&p)
		return true
	case "window-change":
		var w struct{ Columns, Rows, PixelsX, PixelsY uint32 }
		if gossh.Unmarshal(r.Payload, &w) != nil {
			return false
		}
		w.Columns, w.Rows = clamp(w.Columns, w.Rows)
		w.PixelsX, w.PixelsY = 0, 0
		r.Payload = gossh.Marshal(&w)
		return true
	}
	return false
}

func clamp(columns, rows uint32) (uint32, uint32) {
	const most = 1 << 16 // more than tui.Size keeps, little enough for an int everywhere
	s := tui.Size{Width: int(min(columns, most)), Height: int(min(rows, most))}.Within()
	return uint32(s.Width), uint32(s.Height)
}

func permittedVariable(name, value string) bool {
	for _, known := range terminalVariables {
		if name == known {
			return plainValue(value)
		}
	}
	return false
}

// plainValue reports whether a value can be one of a terminal's variables.
func plainValue(value string) bool {
	return len(value) <= 64 && strings.IndexFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}
