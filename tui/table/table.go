// Package table is a windowed table: it draws only the rows that can be seen,
// knows its selection by the row's identity and keeps every row where it
// stands on the screen while others arrive above it.
//
//	t := table.New(func(m mail.Message) string { return m.ID }, columns)
//	t.Resize(80, 20)
//	t.SetRows(rows)
//	fmt.Println(t.View(theme))
//
// A million rows cost no more per frame than twenty. It must not know where
// rows come from or what they mean.
package table

import "slices"

// Table shows rows of V. The zero value is of no use, see New.
type Table[V any] struct {
	id      func(V) string
	columns []Column[V]

	rows          []V
	cursor        int // of the selected row; 0 when there is none
	offset        int // of the first row on the screen
	width, height int // of the whole, the heading included

	// Follow keeps the newest row in sight: while the window stands at the top
	// rows that arrive there push the others down. The selection stays with its
	// row and is never pushed out.
	Follow bool
}

// New makes an empty table; id gives what tells rows apart.
func New[V any](id func(V) string, columns []Column[V]) *Table[V] {
	return &Table[V]{id: id, columns: columns}
}

// Resize sets the cells the table may use, its heading included.
func (t *Table[V]) Resize(width, height int) {
	t.width, t.height = max(width, 0), max(height, 0)
	t.reveal()
}

// page is the number of rows that fit below the heading.
func (t *Table[V]) page() int { return max(t.height-1, 1) }

// SetRows replaces the rows. The selected row keeps its place on the screen if
// it is still there; otherwise the row now in its position is selected.
func (t *Table[V]) SetRows(rows []V) {
	selected, ok := t.Selected()
	line := t.cursor - t.offset
	atTop := t.offset == 0
	t.rows = rows
	if ok {
		id := t.id(selected)
		if i := slices.IndexFunc(rows, func(v V) bool { return t.id(v) == id }); i >= 0 {
			t.cursor = i
		}
	}
	t.cursor = min(t.cursor, max(len(rows)-1, 0))
	t.offset = t.cursor - line
	if t.Follow && atTop {
		t.offset = 0
	}
	t.reveal()
}

// reveal moves the window as little as it takes to show the selection and no
// emptiness below the last row.
func (t *Table[V]) reveal() {
	t.offset = min(t.offset, t.cursor, max(len(t.rows)-t.page(), 0))
	t.offset = max(t.offset, t.cursor-t.page()+1, 0)
}

// Rows returns all rows, not to be changed.
func (t *Table[V]) Rows() []V { return t.rows }

// Selected returns the selected row; false when there are no rows.
func (t *Table[V]) Selected() (V, bool) {
	if t.cursor >= len(t.rows) {
		var none V
		return none, false
	}
	return t.rows[t.cursor], true
}

// Cursor returns the index of the selected row.
func (t *Table[V]) Cursor() int { return t.cursor }

// Offset returns the index of the first row on the screen.
func (t *Table[V]) Offset() int { return t.offset }

// Visible returns the rows on the screen, not to be changed.
func (t *Table[V]) Visible() []V {
	return t.rows[min(t.offset, len(t.rows)):min(t.offset+t.page(), len(t.rows))]
}

// Move moves the selection by n rows, down when positive, and stops at the ends.
func (t *Table[V]) Move(n int) {
	t.cursor = max(min(t.cursor+n, len(t.rows)-1), 0)
	t.reveal()
}

// MovePage moves the selection by n screens.
func (t *Table[V]) MovePage(n int) { t.Move(n * t.page()) }

// MoveHalf moves the selection by n half screens.
func (t *Table[V]) MoveHalf(n int) { t.Move(n * max(t.page()/2, 1)) }

// Top selects the first row.
func (t *Table[V]) Top() { t.Move(-len(t.rows)) }

// Bottom selects the last row there is.
func (t *Table[V]) Bottom() { t.Move(len(t.rows)) }

// Select selects the row with this identity; false when there is none.
func (t *Table[V]) Select(id string) bool {
	i := slices.IndexFunc(t.rows, func(v V) bool { return t.id(v) == id })
	if i < 0 {
		return false
	}
	t.cursor = i
	t.reveal()
	return true
}
