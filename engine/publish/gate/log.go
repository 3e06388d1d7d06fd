package gate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/mail"
)

// Decision is one refusal of a gate, with what it was decided on.
type Decision struct {
	Time           time.Time     `json:"time"`
	Token          string        `json:"token"`
	Enforced       bool          `json:"enforced"` // false: monitor mode, the message was accepted
	Policy         string        `json:"policy"`
	Stage          engine.Stage  `json:"stage"`
	Moment         engine.Moment `json:"moment"`
	Reply          mail.Reply    `json:"reply"`
	Client         mail.Client   `json:"client,omitzero"`
	EnvelopeFrom   mail.Path     `json:"envelope_from,omitempty"`
	HeaderFrom     mail.Path     `json:"header_from,omitempty"`
	HeaderFromName string        `json:"header_from_name,omitempty"`
	Recipient      mail.Path     `json:"recipient,omitempty"`
	QueueID        string        `json:"queue_id,omitempty"`
	PolicyVersion  string        `json:"policy_version,omitempty"`
}

// The log is cut into files of at most logFile bytes, of which the newest
// logFiles are kept: about half a million decisions.
const (
	logFile  = 16 << 20
	logFiles = 8
)

// Log is an append-only file of decisions, a JSON line each. It is safe for use
// by many goroutines, and any process may read it.
type Log struct {
	path string

	mu   sync.Mutex
	file *os.File
	size int64

	foundMu sync.Mutex
	found   map[question]answer
}

// question and answer are what Find remembers: a decision is written before
// its token leaves the house, so an answer never changes.
type question struct {
	token     string
	recipient mail.Path
}

type answer struct {
	decision Decision
	ok       bool
}

// mostRemembered bounds the answers that Find remembers.
const mostRemembered = 4096

// OpenLog opens the log at path for reading and, from the first Append on, for
// writing.
func OpenLog(path string) *Log { return &Log{path: path} }

// Append writes one decision. It is in the operating system's hands when
// Append returns, so that it outlives this process.
func (l *Log) Append(d Decision) error {
	line, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("write decision: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.open(len(line) + 1); err != nil {
		return fmt.Errorf("write decision: %w", err)
	}
	n, err := l.file.Write(append(line, '\n'))
	l.size += int64(n)
	if err != nil {
		return fmt.Errorf("write decision: %w", err)
	}
	return nil
}

func (l *Log) open(room int) error {
	if l.file != nil && l.size+int64(room) > logFile {
		err := l.file.Close()
		l.file = nil
		for i := logFiles - 1; i > 0; i-- {
			if e := os.Rename(l.part(i-1), l.part(i)); e != nil && !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, e)
			}
		}
		if err != nil {
			return err
		}
	}
	if l.file != nil {
		return nil
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.file, l.size = f, info.Size()
	return nil
}

// part names the files from the newest, 0, on.
func (l *Log) part(i int) string {
	if i == 0 {
		return l.path
	}
	return fmt.Sprintf("%s.%d", l.path, i)
}

// Close ends writing.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

// Find returns the newest decision with a token; one about the recipient goes
// before one about others, should a token have come twice. An empty recipient
// takes any.
func (l *Log) Find(token string, recipient mail.Path) (Decision, bool) {
	if len(token) != tokenLength {
		return Decision{}, false
	}
	q := question{token, recipient.Fold()}
	l.foundMu.Lock()
	defer l.foundMu.Unlock()
	if a, ok := l.found[q]; ok {
		return a.decision, a.ok
	}
	var a answer
	a.decision, a.ok = l.look(token, recipient)
	if l.found == nil || len(l.found) >= mostRemembered {
		l.found = map[question]answer{}
	}
	l.found[q] = a
	return a.decision, a.ok
}

func (l *Log) look(token string, recipient mail.Path) (Decision, bool) {
	needle := []byte(`"token":"` + token + `"`)
	var other *Decision
	for i := range logFiles {
		data, err := os.ReadFile(l.part(i))
		if err != nil {
			break
		}
		for end := len(data); ; {
			at := bytes.LastIndex(data[:end], needle)
			if at < 0 {
				break
			}
			begin := bytes.LastIndexByte(data[:at], '\n') + 1
			stop := bytes.IndexByte(data[at:], '\n')
			var d Decision
			if stop >= 0 && json.Unmarshal(data[begin:at+stop], &d) == nil {
				if recipient == "" || d.Recipient.Fold() == recipient.Fold() {
					return d, true
				}
				if other == nil {
					other = &d
				}
			}
			end = begin
		}
	}
	if other == nil {
		return Decision{}, false
	}
	return *other, true
}
