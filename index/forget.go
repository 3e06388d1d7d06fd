package index

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"mailwhy/engine/mail"
)

// Forgotten is what Forget removed.
type Forgotten struct {
	Messages int `json:"messages"`
	Shards   int `json:"shards_rewritten"`
	Aside    int `json:"damaged_removed"` // folders that were set aside as damaged: nobody can say what they hold
}

// Forget removes every message from or to an address, and every line that
// names it, and makes the shards that held them anew: no byte of their files
// is kept. The logs themselves are not touched.
func (x *Index) Forget(ctx context.Context, address mail.Path) (Forgotten, error) {
	var done Forgotten
	if local, domain, ok := strings.Cut(string(address), "@"); !ok || local == "" || domain == "" {
		return done, fmt.Errorf("forget: %q is no address: write user@domain", string(address))
	}
	named := folded(address)
	err := x.each(ctx, func(s *shard) error {
		messages, lines, err := s.naming(ctx, named)
		if err != nil || messages == 0 && !lines {
			return err
		}
		if messages > 0 {
			if err := x.seal(ctx, s, func(m *mail.Message) bool { return !names(m, named) }); err != nil {
				return err
			}
		}
		done.Messages += messages
		done.Shards++
		return x.sweep(ctx, s, func(text []byte) bool { return mentions(text, named) })
	})
	if err != nil {
		return done, err
	}
	aside, err := filepath.Glob(filepath.Join(x.dir, "*"+asideMark+"*"))
	if err != nil {
		return done, err
	}
	for _, path := range aside {
		if strings.HasSuffix(path, regainedSuffix) {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return done, err
		}
		done.Aside++
	}
	return done, nil
}

// naming counts a shard's messages that name an address, and tells whether its
// lines do.
func (s *shard) naming(ctx context.Context, address string) (messages int, lines bool, err error) {
	layers, release, err := s.use()
	if err != nil {
		return 0, false, err
	}
	defer release()
	err = inOrder(ctx, layers, func(id string, row []byte) error {
		m, err := decode(id, row)
		if err == nil && names(&m, address) {
			messages++
		}
		return err
	})
	if err != nil {
		return 0, false, err
	}
	store, err := s.lines()
	if err != nil {
		return 0, false, err
	}
	lines, err = store.Any(func(text []byte) bool { return mentions(text, address) })
	return messages, lines, err
}

// names reports whether a message is from or to the address, or carries it in
// any of its texts.
func names(m *mail.Message, address string) bool {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // "<" is a border of an address, "\u003c" would not be
	return encoder.Encode(m) == nil && mentions(text.Bytes(), address)
}

// Mentions reports whether a text names an address, as Forget looks for it.
func Mentions(text []byte, address mail.Path) bool { return mentions(text, folded(address)) }

func folded(address mail.Path) string { return strings.ToLower(string(address.Fold())) }

// mentions finds an address in a text: not as a part of a longer one.
func mentions(text []byte, address string) bool {
	text = bytes.ToLower(text)
	for at := 0; ; {
		i := bytes.Index(text[at:], []byte(address))
		if i < 0 {
			return false
		}
		start, end := at+i, at+i+len(address)
		if (start == 0 || !ofAddress(text[start-1])) && (end == len(text) || !ofAddress(text[end]) || text[end] == '.' && (end+1 == len(text) || !ofAddress(text[end+1]))) {
			return true
		}
		at = start + 1
	}
}

// ofAddress reports whether a byte goes on an address as logs write it; "="
// may stand in one, and stands before most.
func ofAddress(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c >= 0x80 || strings.IndexByte("!#$%&*+-?^_`{|}~.@", c) >= 0
}
