package index

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mailwhy/engine/mail"
	"mailwhy/index/raw"
)

// shard is one day's messages, or a part of a busy day's: a folder with its
// layers and its lines.
type shard struct {
	name string // 2026-11-23.000
	dir  string

	mu     sync.Mutex
	layers []*held // oldest first, replaced as a whole; nil = closed
	users  int     // of the layers, all together
	used   uint64  // when it was used last, by the index's count of uses
	gone   bool    // to be closed and removed after the last use
	shut   bool    // closed with the index
	free   sync.Cond
	fresh  bool // the newest layer takes messages
	put    time.Time
	raw    *raw.Store // opened on first use
	sample []byte     // for the dictionary of a new raw store
}

func newShard(dir, name string) *shard {
	s := &shard{name: name, dir: filepath.Join(dir, name)}
	s.free.L = &s.mu
	return s
}

func shardName(name string) bool {
	day, part, ok := strings.Cut(name, ".")
	if !ok || len(part) != 3 {
		return false
	}
	_, dayErr := time.Parse(time.DateOnly, day)
	_, partErr := strconv.Atoi(part)
	return dayErr == nil && partErr == nil
}

func (s *shard) day() string { return s.name[:len(time.DateOnly)] }

// timeOf reads the time an id begins with: 13 digits of Unix milliseconds.
func timeOf(id string) (time.Time, error) {
	if len(id) < 13 {
		return time.Time{}, fmt.Errorf("id %q does not begin with a time", id)
	}
	ms, err := strconv.ParseInt(id[:13], 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("id %q does not begin with a time", id)
	}
	return time.UnixMilli(ms).UTC(), nil
}

func dayOf(id string) (string, error) {
	at, err := timeOf(id)
	return at.Format(time.DateOnly), err
}

// open opens the shard's layers, and makes its folder when there is none.
func (s *shard) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.openLocked()
}

func (s *shard) openLocked() error {
	if s.gone {
		return ErrNotFound
	}
	if s.shut {
		return ErrClosed
	}
	if s.layers != nil {
		return nil
	}
	if err := os.Mkdir(s.dir, 0o700); err == nil {
		err = syncFolder(filepath.Dir(s.dir))
		if err != nil {
			return err
		}
	} else if !errors.Is(err, os.ErrExist) {
		return err
	}
	layers, err := openLayers(s.dir)
	if err != nil {
		return err
	}
	if layers == nil {
		layers = []*held{}
	}
	s.layers = layers
	s.fresh = len(layers) > 0 && strings.HasSuffix(layers[len(layers)-1].path, liveSuffix)
	return nil
}

// use gives the layers as they stand, oldest first; they stay open until
// release is called.
func (s *shard) use() (layers []*held, release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.useLocked()
}

func (s *shard) useLocked() (layers []*held, release func(), err error) {
	if err := s.openLocked(); err != nil {
		return nil, nil, err
	}
	layers = s.layers
	for _, h := range layers {
		h.users++
	}
	s.users++
	return layers, sync.OnceFunc(func() { s.release(layers) }), nil
}

func (s *shard) release(layers []*held) {
	s.mu.Lock()
	s.users--
	var over []*held
	for _, h := range layers {
		if h.users--; h.users == 0 && h.over {
			over = append(over, h)
		}
	}
	gone := s.gone && s.users == 0
	s.free.Broadcast()
	s.mu.Unlock()
	for _, h := range over {
		h.remove()
	}
	if gone {
		_ = s.remove() // what is left is removed at the next start
	}
}

// remove closes a layer that nothing uses and deletes it. What cannot be
// deleted is left to layersIn.
func (h *held) remove() {
	_ = errors.Join(h.close(), os.RemoveAll(h.path), os.RemoveAll(h.path+factsSuffix))
}

// idle reports whether the shard is open and not in use.
func (s *shard) idle() (used uint64, live, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used, s.fresh, s.layers != nil && s.users == 0
}

// close waits for the last use, closes everything and lets nothing be opened
// again.
func (s *shard) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
	for s.users > 0 {
		s.free.Wait()
	}
	return s.closeLocked()
}

// closeIdle closes the shard if nothing uses it; it opens again on demand.
func (s *shard) closeIdle() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users > 0 {
		return nil
	}
	return s.closeLocked()
}

// remove deletes the shard for good, after its last use.
func (s *shard) remove() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone = true; s.users > 0 {
		return nil
	}
	return errors.Join(s.closeLocked(), os.RemoveAll(s.dir))
}

func (s *shard) closeLocked() error {
	errs := []error{s.closeLines()}
	for _, h := range s.layers {
		errs = append(errs, h.close())
	}
	s.layers, s.fresh = nil, false
	return errors.Join(errs...)
}

// store puts messages into the newest layer, their lines before them. Several
// may do so at once, but not with the same message.
func (s *shard) store(ctx context.Context, messages []mail.Message, now time.Time) error {
	_, release, err := s.use()
	if err != nil {
		return err
	}
	defer release()
	if err := s.putLines(messages); err != nil {
		return err
	}
	layers, release, err := s.taking(now)
	if err != nil {
		return err
	}
	defer release()
	newest := len(layers) - 1
	if err := layers[newest].layer.(*live).put(ctx, messages); err != nil {
		return err
	}
	if newest == 0 {
		return nil
	}
	ids := make([]string, len(messages))
	for i := range messages {
		ids[i] = messages[i].ID
	}
	slices.Sort(ids)
	return hideAll(layers[:newest], ids)
}

// taking is use; the newest of the layers takes messages, and is made where
// there is none.
func (s *shard) taking(now time.Time) (layers []*held, release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put = now
	if !s.fresh {
		if err := s.beginLocked(); err != nil {
			return nil, nil, err
		}
	}
	return s.useLocked()
}

// beginLocked adds a layer that takes messages.
func (s *shard) beginLocked() error {
	generation := 1
	if n := len(s.layers); n > 0 {
		generation = s.layers[n-1].generation + 1
	}
	h := &held{generation: generation, path: filepath.Join(s.dir, layerName(generation, liveSuffix))}
	err := makeLive(h.path)
	if err == nil {
		h.layer, err = openLive(h.path, s.day())
	}
	if err != nil {
		return err
	}
	s.layers = append(slices.Clone(s.layers), h)
	s.fresh = true
	return nil
}

// holds notes which of the messages stand in this shard.
func (s *shard) holds(ids []string, standing map[string]*shard) error {
	layers, release, err := s.use()
	if err != nil {
		return err
	}
	defer release()
	for _, h := range layers {
		found, err := h.standing(ids)
		if err != nil {
			return err
		}
		for _, id := range found {
			standing[id] = s
		}
	}
	return nil
}

func (s *shard) count() (int, error) {
	layers, release, err := s.use()
	if err != nil {
		return 0, err
	}
	defer release()
	sum := 0
	for _, h := range layers {
		n, err := h.layer.count()
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// get gives a message with its lines.
func (s *shard) get(ctx context.Context, id string) (mail.Message, error) {
	layers, release, err := s.use()
	if err != nil {
		return mail.Message{}, err
	}
	defer release()
	for _, h := range slices.Backward(layers) {
		m, err := h.layer.get(ctx, id)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return mail.Message{}, err
		}
		rows := []mail.Message{m}
		err = s.fill(rows)
		return rows[0], err
	}
	return mail.Message{}, ErrNotFound
}

// page gives up to limit matches below the cursor, newest first. Older layers
// are asked before newer ones: a message that moves to a newer one meanwhile
// is seen twice rather than never, and the newer one is shown.
//
// A layer that has nothing newer than above is passed over.
func (s *shard) page(ctx context.Context, q Query, below Cursor, above string, limit int) ([]mail.Message, error) {
	layers, release, err := s.use()
	if err != nil {
		return nil, err
	}
	defer release()
	var rows []mail.Message
	for _, h := range layers {
		if f, ok := h.layer.(*finished); ok && f.segment.Last() <= above {
			continue
		}
		more, err := h.page(ctx, q, below, limit)
		if err != nil {
			return nil, err
		}
		rows = append(more, rows...)
	}
	return newest(rows, limit), nil
}

// newest sorts rows newest first, leaves one of each message, the first given,
// and cuts them to the limit.
func newest(rows []mail.Message, limit int) []mail.Message {
	byID := func(a, b mail.Message) int { return strings.Compare(b.ID, a.ID) }
	if !slices.IsSortedFunc(rows, byID) {
		slices.SortStableFunc(rows, byID)
	}
	rows = slices.CompactFunc(rows, func(a, b mail.Message) bool { return a.ID == b.ID })
	return rows[:min(limit, len(rows))]
}
