package mail

// Reply is an SMTP reply (RFC 5321, 4.2) as far as the log gives it.
type Reply struct {
	Code     int    `json:"code,omitempty"`     // 0 = not logged; never invented
	Enhanced string `json:"enhanced,omitempty"` // RFC 3463 status code, "5.7.1"
	Text     string `json:"text,omitempty"`
}

// Temporary reports whether the reply asks for another try (4yz, or a class 4
// status where no code is logged).
func (r Reply) Temporary() bool {
	if r.Code != 0 {
		return r.Code >= 400 && r.Code < 500
	}
	return len(r.Enhanced) > 1 && r.Enhanced[0] == '4' && r.Enhanced[1] == '.'
}

// Permanent reports whether the reply refuses for good (5yz, or a class 5
// status where no code is logged).
func (r Reply) Permanent() bool {
	if r.Code != 0 {
		return r.Code >= 500 && r.Code < 600
	}
	return len(r.Enhanced) > 1 && r.Enhanced[0] == '5' && r.Enhanced[1] == '.'
}
