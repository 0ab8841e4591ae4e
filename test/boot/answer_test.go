package boot_test

import "net/http"

// listener tells when an answer says that all is well.
type listener struct {
	http.ResponseWriter
	ok   func()
	said bool
}

func (l *listener) WriteHeader(status int) {
	l.hear(status)
	l.ResponseWriter.WriteHeader(status)
}

func (l *listener) Write(p []byte) (int, error) {
	l.hear(http.StatusOK)
	return l.ResponseWriter.Write(p)
}

func (l *listener) hear(status int) {
	if !l.said && status < http.StatusMultipleChoices {
		l.ok()
	}
	l.said = true
}

// Unwrap lets a handler set the connection's deadlines.
func (l *listener) Unwrap() http.ResponseWriter { return l.ResponseWriter }

// deaf is the answer that nobody gets.
type deaf struct {
	header http.Header
	ok     func()
	said   bool
}

func (d *deaf) Header() http.Header { return d.header }

func (d *deaf) WriteHeader(status int) {
	if !d.said && status < http.StatusMultipleChoices {
		d.ok()
	}
	d.said = true
}

func (d *deaf) Write(p []byte) (int, error) {
	d.WriteHeader(http.StatusOK)
	return len(p), nil
}
