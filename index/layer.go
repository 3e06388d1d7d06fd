package index

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// layer is some of a shard's messages. A shard has one for what is finished,
// a file that is never written again, and one for what arrives, an index of
// bleve; while it is being sealed it has another of those. A message that is
// in several is the one of the newest: it is hidden in the older ones.
type layer interface {
	// count is the number of messages that are not hidden.
	count() (int, error)
	// page gives up to limit matches below the cursor, newest first, without
	// the text of their evidence.
	page(ctx context.Context, q Query, below Cursor, limit int) ([]mail.Message, error)
	// get gives the message of an id, hidden or not; ErrNotFound.
	get(ctx context.Context, id string) (mail.Message, error)
	// standing gives those of the ids, ascending, that the layer has.
	standing(ids []string) ([]string, error)
	hide(ids []string) error
	// tally adds the matches to a sum.
	tally(ctx context.Context, q Query, sum *tally) error
	// replayed yields the matches, in any order, as far as a replay looks at
	// them. What yield returns ends it.
	replayed(ctx context.Context, q Query, yield func(mail.Message) error) error
	// documents yields what is not hidden, or all, in the order of ids; the row
	// is only good until the next. What yield returns ends it.
	documents(ctx context.Context, all bool, yield func(id string, row []byte) error) error
	close() error
}

// held is a layer that is open, with how many use it.
type held struct {
	layer
	generation int // newer layers have higher ones
	path       string
	users      int  // guarded by the shard's mu
	over       bool // to be closed and removed after the last use
}

const (
	liveSuffix   = ".live"
	sealedSuffix = ".sealed"
	factsSuffix  = ".facts" // behind a sealed layer's name: what a replay looks at
)

// layerName is the name of a layer in its shard's folder.
func layerName(generation int, suffix string) string {
	return fmt.Sprintf("%06d%s", generation, suffix)
}

func generationOf(name, suffix string) (int, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil && n > 0
}

// layersIn lists the layers of a shard's folder, oldest first: the newest
// sealed one and what was begun after it. What that one took the place of is
// stale, as are files that were not finished: a crash leaves them.
func layersIn(dir string) (kept []*held, stale []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	var list []*held
	var beside []string // sealed layers that facts lie beside
	newest := 0
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if strings.HasSuffix(e.Name(), ".new") {
			stale = append(stale, path)
		} else if n, ok := generationOf(e.Name(), sealedSuffix); ok {
			newest = max(newest, n)
			list = append(list, &held{generation: n, path: path})
		} else if n, ok := generationOf(e.Name(), liveSuffix); ok {
			list = append(list, &held{generation: n, path: path})
		} else if of, ok := strings.CutSuffix(path, factsSuffix); ok {
			beside = append(beside, of)
		}
	}
	for _, h := range list {
		if h.generation > newest || h.generation == newest && strings.HasSuffix(h.path, sealedSuffix) {
			kept = append(kept, h)
		} else {
			stale = append(stale, h.path)
		}
	}
	for _, of := range beside {
		if !slices.ContainsFunc(kept, func(h *held) bool { return h.path == of }) {
			stale = append(stale, of+factsSuffix)
		}
	}
	slices.SortFunc(kept, func(a, b *held) int { return a.generation - b.generation })
	return kept, stale, nil
}

// onlySealed reports whether all of a shard's folder is sealed; the shard need
// not be open.
func onlySealed(dir string) bool {
	layers, _, err := layersIn(dir)
	return err == nil && len(layers) == 1 && strings.HasSuffix(layers[0].path, sealedSuffix)
}

// openLayers opens what layersIn lists, removes what is stale, and hides in each what newer ones have.
// The error is a *layerError where a layer cannot be read.
func openLayers(dir string) (_ []*held, err error) {
	list, stale, err := layersIn(dir)
	if err != nil {
		return nil, err
	}
	for _, path := range stale {
		if err := os.RemoveAll(path); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			for _, h := range list {
				if h.layer != nil {
					_ = h.close() // the first error is the one to tell
				}
			}
		}
	}()
	for i, h := range list {
		if strings.HasSuffix(h.path, sealedSuffix) {
			h.layer, err = openFinished(h.path)
		} else {
			h.layer, err = openLive(h.path, filepath.Base(dir)[:len(time.DateOnly)])
		}
		if err != nil {
			h.layer = nil
			return nil, &layerError{h.path, err}
		}
		if i > 0 { // then it is a live one
			if err = hideIn(list[:i], h.layer.(*live)); err != nil {
				return nil, &layerError{h.path, err}
			}
		}
	}
	return list, nil
}

// hideIn hides in older layers every message that a newer one has.
func hideIn(older []*held, newer *live) error {
	ids, err := newer.ids()
	if err != nil {
		return err
	}
	return hideAll(older, ids)
}

// hideAll hides ids, ascending, where they stand.
func hideAll(layers []*held, ids []string) error {
	for _, h := range layers {
		standing, err := h.standing(ids)
		if err != nil {
			return err
		}
		if err := h.hide(standing); err != nil {
			return err
		}
	}
	return nil
}

// layerError says which layer could not be read.
type layerError struct {
	path string
	err  error
}

func (e *layerError) Error() string { return e.err.Error() }
func (e *layerError) Unwrap() error { return e.err }
