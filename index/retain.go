package index

import (
	"fmt"
	"time"
)

// oldestDay is the first day that is kept; "" = all are. A clock by which all
// messages are too old is not believed: it jumped, or no mail came for that
// long, and either way nothing is removed before a newer message comes.
func (x *Index) oldestDay() string {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.oldestDayLocked()
}

func (x *Index) oldestDayLocked() string {
	if x.options.RetentionDays <= 0 || x.options.Now == nil {
		return ""
	}
	oldest := x.options.Now().UTC().AddDate(0, 0, -x.options.RetentionDays).Format(time.DateOnly)
	if n := len(x.shards); n > 0 && x.shards[n-1].day() < oldest {
		return ""
	}
	return oldest
}

// retireLocked removes the oldest shards: those of days past retention, and
// those by which the index is larger than it may be. The newest one stays.
func (x *Index) retireLocked() {
	oldest := x.oldestDayLocked()
	total := int64(0)
	sizes := make([]int64, len(x.shards))
	if x.options.RetentionBytes > 0 {
		for i, s := range x.shards {
			sizes[i], _, _ = s.space()
			total += sizes[i]
		}
	}
	var kept []*shard
	for i, s := range x.shards {
		tooLarge := x.options.RetentionBytes > 0 && total > x.options.RetentionBytes && i < len(x.shards)-1
		if s.day() >= oldest && !tooLarge {
			kept = append(kept, s)
			continue
		}
		total -= sizes[i]
		if err := s.remove(); err != nil {
			x.problems = append(x.problems, fmt.Sprintf("remove the messages of %s: %v", s.day(), err))
		}
	}
	x.shards = kept
}
