package logparse

import "mailwhy/engine/mail"

// savedStories is the form of stories in a snapshot.
type savedStories struct {
	On     bool       `json:"on,omitempty"`
	LetGo  int64      `json:"let_go,omitempty"`
	Newest int64      `json:"newest,omitempty"`
	Hops   []savedHop `json:"hops,omitempty"` // oldest first
}

// savedHop is a hop; of a failing one whose record the snapshot has elsewhere,
// only its id.
type savedHop struct {
	Key     []byte        `json:"key,omitempty"`
	Message *mail.Message `json:"message,omitempty"`
	To      []mail.Path   `json:"to,omitempty"`
	Of      []mail.Path   `json:"of,omitempty"`
	Next    []string      `json:"next,omitempty"`
	Record  string        `json:"record,omitempty"` // the message's id
}

// save is called after settle, when nothing waits to be told. elsewhere are the
// records that the snapshot has already.
func (s *stories) save(elsewhere map[*record]bool) *savedStories {
	if !s.on {
		return nil
	}
	saved := &savedStories{On: true, LetGo: s.letGo, Newest: s.newest}
	for _, h := range s.order {
		one := savedHop{Key: []byte(h.key), Message: h.m, To: h.to, Of: h.of, Next: h.next}
		if h.r != nil {
			one.Record = h.m.ID
			if elsewhere[h.r] {
				one.Message = nil
			}
		}
		saved.Hops = append(saved.Hops, one)
	}
	return saved
}

// load takes saved hops back; records are those restored already, by id.
func (s *stories) load(saved *savedStories, records map[string]*record) {
	if saved == nil {
		return
	}
	s.on, s.letGo, s.newest = saved.On, saved.LetGo, saved.Newest
	for _, one := range saved.Hops {
		h := &hop{key: string(one.Key), m: one.Message, to: one.To, of: one.Of, next: one.Next}
		if one.Record != "" {
			h.r = records[one.Record]
			if h.r == nil && one.Message == nil {
				continue
			}
			if h.r == nil {
				h.r = &record{Message: *one.Message}
				h.r.restoreTold()
				records[one.Record] = h.r
			}
			h.m = &h.r.Message
			s.failed[h.r] = h
		} else if h.m == nil || len(h.of) != len(h.m.Evidence) {
			continue
		} else {
			s.passed[h.key] = h
		}
		s.add(h)
		s.news(h)
	}
}
