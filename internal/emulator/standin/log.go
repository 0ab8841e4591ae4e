package standin

import (
	"encoding/json"
	"io"
	"sync"
	"time"
)

// fields go beside the message of a log line. Tokens are never among them.
type fields map[string]any

// logger writes the JSON lines of the real runner and counts what it writes,
// since gitlab_runner_errors_total is that count.
type logger struct {
	mu    sync.Mutex
	out   io.Writer
	count func(level string)
}

func (l *logger) write(level, msg string, f fields) {
	line := fields{"level": level, "msg": msg, "time": time.Now().UTC().Format(time.RFC3339Nano)}
	for k, v := range f {
		line[k] = v
	}
	data, err := json.Marshal(line)
	if err != nil {
		return
	}
	l.mu.Lock()
	_, _ = l.out.Write(append(data, '\n'))
	l.mu.Unlock()
	if l.count != nil {
		l.count(level)
	}
}

func (l *logger) info(msg string, f fields)  { l.write("info", msg, f) }
func (l *logger) warn(msg string, f fields)  { l.write("warning", msg, f) }
func (l *logger) error(msg string, f fields) { l.write("error", msg, f) }
func (l *logger) fatal(msg string, f fields) { l.write("fatal", msg, f) }
