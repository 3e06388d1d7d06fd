package ingest

import (
	"os"
	"time"

	"mailwhy/logparse/tail"
)

// Progress is how much of the logs there were at the start has been read.
type Progress struct {
	Bytes int64         // of the files as they lie on disk; a compressed one counts when it is read
	Total int64         // likewise, of all
	Rate  float64       // bytes a second since the start, decompressed
	Left  time.Duration // at that rate; 0 = not known, or done
}

// backlog is what Progress is made from; guarded by Pump.mu.
type backlog struct {
	sizes map[string]int64 // by path, at the start
	total int64
	done  int64
	start time.Time
	fed   int64 // bytes parsed since
	over  bool  // everything there was has been read; files may have been renamed since
}

func newBacklog(sources []string, now time.Time) (backlog, error) {
	b := backlog{sizes: map[string]int64{}, start: now}
	paths, err := tail.Expand(sources)
	if err != nil {
		return b, err
	}
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			b.sizes[path] = info.Size()
			b.total += info.Size()
		}
	}
	return b, nil
}

// note takes in how far the files were read.
func (b *backlog) note(files []tail.File) {
	if b.over {
		return
	}
	b.done = 0
	for _, f := range files {
		size := b.sizes[f.Path]
		if tail.Compressed(f.Path) && f.Offset > 0 {
			b.done += size
			continue
		}
		b.done += min(f.Offset, size)
	}
}

// finish notes that everything there was has been read.
func (b *backlog) finish() { b.over, b.done = true, b.total }

// Progress tells how far the backlog has been read.
func (p *Pump) Progress() Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := &p.backlog
	progress := Progress{Bytes: b.done, Total: b.total}
	if took := p.options.Now().Sub(b.start).Seconds(); took > 0 {
		progress.Rate = float64(b.fed) / took
	}
	if progress.Rate > 0 && b.done < b.total {
		progress.Left = time.Duration(float64(b.total-b.done) / progress.Rate * float64(time.Second))
	}
	return progress
}
