package index

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"mailwhy/engine/mail"
	"mailwhy/index/facts"
	"mailwhy/index/sealed"
)

// A shard is sealed when it is full, or when its day is over and nothing was
// put into it for a while: its messages are written to one file, in the order
// of their ids, beside the layers they come from. The file gets its name when
// it is on disk as a whole; from then on it stands for those layers, which are
// removed. So a crash leaves the old layers or the new one.
const (
	sealEvery = 15 * time.Second // between looks for shards to seal
	sealQuiet = 2 * time.Minute  // without a message, once the day is over
)

// sealer seals behind the writer's back.
type sealer struct {
	soon   chan *shard
	cancel context.CancelFunc
	done   sync.WaitGroup
	one    sync.Mutex // one shard is sealed at a time
}

func (x *Index) now() time.Time {
	if x.options.Now != nil {
		return x.options.Now()
	}
	return time.Now()
}

func (x *Index) startSealing() {
	ctx, cancel := context.WithCancel(context.Background())
	x.sealer.soon, x.sealer.cancel = make(chan *shard, 1), cancel
	x.sealer.done.Go(func() {
		x.warm(ctx)
		ticker := time.NewTicker(sealEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case s := <-x.sealer.soon:
				x.sealOrSay(ctx, s)
			case <-ticker.C:
				for _, s := range x.newestFirst(Query{}) {
					if x.ripe(s) {
						x.sealOrSay(ctx, s)
					}
				}
			}
		}
	})
}

// warm opens the sealed shards, the newest first, so that the first search
// does not: a fragment that is rare asks all of them.
func (x *Index) warm(ctx context.Context) {
	list := x.newestFirst(Query{})
	for _, s := range list[:min(len(list), x.options.OpenShards/2)] {
		if ctx.Err() != nil || !onlySealed(s.dir) || !x.open(s) {
			continue
		}
		layers, release, err := s.use()
		if err != nil {
			continue // removed meanwhile
		}
		for _, h := range layers {
			if f, ok := h.layer.(*finished); ok {
				f.segment.Warm()
			}
		}
		release()
	}
}

func (x *Index) stopSealing() {
	x.sealer.cancel()
	x.sealer.done.Wait()
}

// sealSoon asks for a full shard to be sealed; when the sealer is busy, it
// finds the shard later by itself.
func (x *Index) sealSoon(s *shard) {
	select {
	case x.sealer.soon <- s:
	default:
	}
}

// ripe reports whether a shard is to be sealed.
func (x *Index) ripe(s *shard) bool {
	s.mu.Lock()
	unknown, fresh, put := s.layers == nil, s.fresh, s.put
	s.mu.Unlock()
	if unknown {
		fresh = !onlySealed(s.dir)
	}
	if !fresh {
		return false
	}
	now := x.now()
	if now.UTC().Format(time.DateOnly) > s.day() && now.Sub(put) >= sealQuiet {
		return true
	}
	n, err := s.count()
	return err == nil && n >= x.options.ShardDocs && now.Sub(put) >= time.Second
}

// sealOrSay seals a shard and packs its lines: those of a few messages at a
// time take twice the space of full blocks.
func (x *Index) sealOrSay(ctx context.Context, s *shard) {
	what := "sealed"
	err := x.seal(ctx, s, nil)
	if err == nil {
		what, err = "packed", x.sweep(ctx, s, nil)
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrNotFound) {
		x.problem("the messages of %s could not be %s and stay as they are: %v", s.day(), what, err)
	}
}

// Seal seals every shard that has something to seal, whatever its day.
func (x *Index) Seal(ctx context.Context) error {
	for _, s := range x.newestFirst(Query{}) {
		if !x.open(s) {
			continue
		}
		if err := x.seal(ctx, s, nil); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}

// seal writes a shard's messages to one sealed layer that takes the place of
// all others. With keep, it leaves out the messages for which keep is false
// and seals a shard again that is sealed already.
func (x *Index) seal(ctx context.Context, s *shard, keep func(*mail.Message) bool) error {
	x.sealer.one.Lock()
	defer x.sealer.one.Unlock()
	x.writing.Lock()
	layers, release, err := s.use()
	if err == nil {
		s.mu.Lock()
		s.fresh = false // what comes now goes to a layer of its own
		s.mu.Unlock()
	}
	x.writing.Unlock()
	if err != nil {
		return err
	}
	defer release()
	if n := len(layers); n == 0 || keep == nil && n == 1 && strings.HasSuffix(layers[0].path, sealedSuffix) {
		return nil
	}
	generation := layers[len(layers)-1].generation
	if strings.HasSuffix(layers[len(layers)-1].path, sealedSuffix) {
		generation++ // sealed again: not under the name it has
	}
	path := filepath.Join(s.dir, layerName(generation, sealedSuffix))
	err = writeSealed(ctx, path, layers, keep)
	if err == nil {
		err = x.replace(s, layers, &held{generation: generation, path: path})
	}
	if err != nil {
		// Under its name it would stand for layers that are still written to.
		err = errors.Join(err, os.RemoveAll(path), os.RemoveAll(path+factsSuffix))
		s.mu.Lock()
		s.fresh = len(s.layers) > 0 && strings.HasSuffix(s.layers[len(s.layers)-1].path, liveSuffix)
		s.mu.Unlock()
		return fmt.Errorf("seal shard %s: %w", s.name, err)
	}
	return nil
}

// writeSealed makes the file of a sealed layer, after that of its facts: one
// that is there is of the layer.
func writeSealed(ctx context.Context, path string, layers []*held, keep func(*mail.Message) bool) error {
	b, err := sealed.NewBuilder(path, sealedFields)
	if err != nil {
		return err
	}
	replayed := facts.NewBuilder()
	err = inOrder(ctx, layers, func(id string, row []byte) error {
		m, err := decode(id, row)
		if err != nil || keep != nil && !keep(&m) {
			return err
		}
		d, err := sealedDocument(&m, row)
		if err != nil {
			return err
		}
		replayed.Add(&m)
		return b.Add(d)
	})
	if err == nil {
		err = replayed.Write(path + factsSuffix)
	}
	if err != nil {
		return errors.Join(err, b.Discard())
	}
	if err := b.Finish(); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// replace puts a sealed layer in the place of those it was made from.
func (x *Index) replace(s *shard, made []*held, by *held) error {
	var err error
	if by.layer, err = openFinished(by.path); err != nil {
		return err
	}
	x.writing.Lock()
	defer x.writing.Unlock()
	s.mu.Lock()
	since := slices.Clone(s.layers[len(made):])
	s.mu.Unlock()
	for _, h := range since {
		if err := hideIn([]*held{by}, h.layer.(*live)); err != nil {
			return errors.Join(err, by.close())
		}
	}
	s.mu.Lock()
	s.layers = append([]*held{by}, since...)
	s.mu.Unlock()
	for _, h := range made {
		if l, ok := h.layer.(*live); ok {
			l.unwritten.forget()
		}
		s.mu.Lock()
		h.over = true // it is in use here, so its last release removes it
		s.mu.Unlock()
	}
	return nil
}

// inOrder yields the messages of layers in the order of ids; one that several
// layers have is hidden in all but the newest.
func inOrder(ctx context.Context, layers []*held, yield func(id string, row []byte) error) error {
	if len(layers) == 1 {
		return layers[0].documents(ctx, false, yield)
	}
	streams := make([]*stream, 0, len(layers))
	for _, h := range layers {
		st := newStream(ctx, h)
		defer st.stop()
		st.advance()
		streams = append(streams, st)
	}
	for {
		var low *stream
		for _, st := range streams {
			if st.err != nil {
				return st.err
			}
			if st.ok && (low == nil || st.id <= low.id) {
				low = st
			}
		}
		if low == nil {
			return nil
		}
		id := low.id
		if err := yield(id, low.row); err != nil {
			return err
		}
		for _, st := range streams {
			if st.ok && st.id == id {
				st.advance()
			}
		}
	}
}

// stream is a layer's messages one at a time.
type stream struct {
	next func() (string, []byte, bool)
	stop func()
	id   string
	row  []byte
	ok   bool
	err  error
}

func newStream(ctx context.Context, h *held) *stream {
	st := &stream{}
	st.next, st.stop = iter.Pull2(func(yield func(string, []byte) bool) {
		stopped := errors.New("stopped")
		err := h.documents(ctx, false, func(id string, row []byte) error {
			if !yield(id, row) {
				return stopped
			}
			return nil
		})
		if !errors.Is(err, stopped) {
			st.err = err
		}
	})
	return st
}

func (st *stream) advance() { st.id, st.row, st.ok = st.next() }
