package logparse

type postfix struct{ p *Parser }

func newPostfix(p *Parser) *postfix { return &postfix{p: p} }

func (f *postfix) name() string                                   { return "postfix" }
func (f *postfix) detect(line []byte) bool                        { return false }
func (f *postfix) line(s *Stream, offset int64, line []byte) bool { return false }
func (f *postfix) save() ([]byte, error)                          { return nil, nil }
func (f *postfix) load([]byte) error                              { return nil }
