package logparse

import "bytes"

// jsonField is one member of a JSON object.
type jsonField struct {
	key  string
	raw  []byte
	kind jsonKind
}

// text is the value as it is meant; objects and arrays are their JSON.
func (f jsonField) text() string {
	if f.kind == jsonEscaped {
		return text(unescapeJSON(f.raw))
	}
	return text(f.raw)
}

// jsonFields are the members of an object, in their order.
type jsonFields []jsonField

// maxMembers bounds what is read of one object.
const maxMembers = 500

// objectFields reads the object that raw starts with.
func objectFields(raw []byte) jsonFields {
	c := jsonCursor{b: raw}
	return c.fields()
}

// fields reads the object at the cursor; nil when there is none.
func (c *jsonCursor) fields() jsonFields {
	if !c.take('{') {
		return nil
	}
	list := jsonFields{}
	for len(list) < maxMembers {
		key, raw, kind, ok := c.member()
		if !ok {
			break
		}
		list = append(list, jsonField{text(key), raw, kind})
	}
	if !c.take('}') {
		c.pos = len(c.b) // cut off or broken: what follows belongs to nothing
	}
	return list
}

// get returns the first of paths that the object has as text; a path leads
// into nested objects, "filter.qid".
func (o jsonFields) get(paths ...string) string {
	for _, path := range paths {
		if f, ok := o.find(path); ok && f.kind != jsonNull && len(f.raw) > 0 {
			return f.text()
		}
	}
	return ""
}

// object returns a nested object; nil when there is none.
func (o jsonFields) object(path string) jsonFields {
	if f, ok := o.find(path); ok && f.kind == jsonObject {
		return objectFields(f.raw)
	}
	return nil
}

// list returns the strings of an array, or the one string that stands for it.
func (o jsonFields) list(path string) []string {
	f, ok := o.find(path)
	switch {
	case !ok || f.kind == jsonNull || f.kind == jsonObject || len(f.raw) == 0:
		return nil
	case f.kind != jsonArray:
		return []string{f.text()}
	}
	var list []string
	c := jsonCursor{b: f.raw}
	for c.take('['); len(list) < maxListed; {
		raw, kind := c.value()
		if kind == jsonNone {
			break
		}
		list = append(list, jsonField{"", raw, kind}.text())
		if !c.take(',') {
			break
		}
	}
	return list
}

// jsonBody returns the JSON of a line, which a syslog prefix may precede; nil
// when there is none.
func jsonBody(line []byte) []byte {
	start := bytes.IndexByte(line, '{')
	if start < 0 || start > 200 {
		return nil
	}
	return line[start:]
}

// find returns the member that a path names.
func (o jsonFields) find(path string) (jsonField, bool) {
	for i := 0; i <= len(path); i++ {
		if i < len(path) && path[i] != '.' {
			continue
		}
		for _, f := range o {
			if f.key != path[:i] {
				continue
			}
			if i == len(path) {
				return f, true
			}
			if f.kind == jsonObject {
				return objectFields(f.raw).find(path[i+1:])
			}
		}
	}
	return jsonField{}, false
}

// objects returns the objects of an array.
func (o jsonFields) objects(path string) []jsonFields {
	f, ok := o.find(path)
	if !ok || f.kind != jsonArray {
		return nil
	}
	var list []jsonFields
	c := jsonCursor{b: f.raw}
	for c.take('['); len(list) < maxListed; {
		fields := c.fields()
		if fields == nil {
			break
		}
		list = append(list, fields)
		if !c.take(',') {
			break
		}
	}
	return list
}

// eachJSON calls do with each object of a line: one, several, or those of the
// list that an answer of an API wraps them in.
func eachJSON(body []byte, do func(n int, o jsonFields)) {
	c := jsonCursor{b: body}
	for _, path := range []string{"value", "d.results", "rows", "data"} {
		if !bytes.Contains(body[:min(len(body), 200)], []byte(`[`)) {
			break
		}
		first := (&jsonCursor{b: body}).fields()
		if list := first.objects(path); len(list) > 0 {
			for n, o := range list {
				do(n, o)
			}
			return
		}
	}
	for n := 0; n < maxListed; n++ {
		o := c.fields()
		if o == nil {
			return
		}
		do(n, o)
		c.take(',')
	}
}
