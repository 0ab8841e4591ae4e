package standin

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"sync"
	"time"
)

// maxTrace bounds a job's log, as output_limit does by default in the real one.
const maxTrace = 4 << 20

// trace is a job's log: what the runner says and what the job prints.
type trace struct {
	stamps bool

	mu    sync.Mutex
	data  bytes.Buffer
	lines map[string]*bytes.Buffer // unfinished line of each stream
}

func newTrace(f flavour) *trace {
	return &trace{stamps: f.timestamps, lines: map[string]*bytes.Buffer{}}
}

// runner writes a line of the runner's own.
func (t *trace) runner(format string, args ...any) {
	t.write("00O", []byte(fmt.Sprintf(format, args...)))
}

// Write takes the job's output.
func (t *trace) Write(p []byte) (int, error) {
	t.write("01O", p)
	return len(p), nil
}

func (t *trace) write(stream string, p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.data.Len()+len(p) > maxTrace {
		return
	}
	if !t.stamps {
		t.data.Write(p)
		return
	}
	line := t.lines[stream]
	if line == nil {
		line = &bytes.Buffer{}
		t.lines[stream] = line
	}
	line.Write(p)
	for {
		i := bytes.IndexByte(line.Bytes(), '\n')
		if i < 0 {
			return
		}
		t.stamp(stream, line.Next(i+1))
	}
}

// stamp writes one whole line with its time and stream before it.
func (t *trace) stamp(stream string, line []byte) {
	fmt.Fprintf(&t.data, "%s %s ", time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"), stream)
	t.data.Write(line)
}

// flush ends the lines that the job left without a newline.
func (t *trace) flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, stream := range []string{"00O", "01O"} {
		if line := t.lines[stream]; line != nil && line.Len() > 0 {
			t.stamp(stream, append(line.Next(line.Len()), '\n'))
		}
	}
}

// from returns a copy of what stands after offset.
func (t *trace) from(offset int) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if offset < 0 || offset >= t.data.Len() {
		return nil
	}
	return bytes.Clone(t.data.Bytes()[offset:])
}

// output is the length and checksum that the last update carries.
func (t *trace) output() traceOutput {
	t.mu.Lock()
	defer t.mu.Unlock()
	return traceOutput{Bytesize: t.data.Len(), Checksum: fmt.Sprintf("crc32:%08x", crc32.ChecksumIEEE(t.data.Bytes()))}
}
