package trace

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// MaxLine bounds a line: fifty times the longest that says anything. A file that
// is one line of gigabytes must not be held in memory to be refused.
const MaxLine = 64 << 10

// lines hands a trace out line by line, so that whoever reads it is never ahead of
// the job that it looks at, and bounds what one job may take.
type lines struct {
	from   *bufio.Reader
	rest   []byte // of the line that is handed out
	line   int    // its number
	total  int64
	record int // bytes of this job so far, and where it began
	began  int
}

func newLines(from io.Reader) *lines {
	return &lines{from: bufio.NewReaderSize(from, MaxLine)}
}

// next says that what comes now is another job.
func (l *lines) next() { l.record = 0 }

// Read implements io.Reader: some of one line.
func (l *lines) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		if err := l.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// fill reads the next line.
func (l *lines) fill() error {
	text, err := l.from.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return fmt.Errorf("line %d: longer than %d bytes", l.line+1, MaxLine)
	}
	if len(text) == 0 {
		return err
	}
	l.rest = text // an error comes again with the next, empty one
	l.line++
	if l.record == 0 {
		l.began = l.line
	}
	if len(bytes.TrimRight(text, "\r\n")) > 0 || l.record > 0 {
		l.record += len(text)
	}
	l.total += int64(len(text))
	switch {
	case l.total > MaxBytes:
		return fmt.Errorf("line %d: more than %d bytes in all", l.line, MaxBytes)
	case l.record > MaxLine:
		return fmt.Errorf("line %d: longer than %d bytes; does a quote begin there that never ends?", l.began, MaxLine)
	}
	return nil
}
