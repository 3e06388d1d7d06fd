package index

import (
	"fmt"
	"time"
)

// oldestDay is the first day that is kept; "" = all are.
func (x *Index) oldestDay() string {
	if x.options.RetentionDays <= 0 || x.options.Now == nil {
		return ""
	}
	return x.options.Now().UTC().AddDate(0, 0, -x.options.RetentionDays).Format(time.DateOnly)
}

// retireLocked removes the oldest shards: those of days past retention, and
// those by which the index is larger than it may be. The newest one stays.
func (x *Index) retireLocked() {
	oldest := x.oldestDay()
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
