package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// What is asked for, and on which gateway.
type request struct {
	address string // host:port
	answer  string
	size    int  // of the body, in bytes
	usage   bool // of a stream: ask for it to be reported
}

func (q request) stream() bool { return !strings.HasPrefix(q.answer, "json") }

// The bytes of a request of a user: a chat whose message fills the body.
func (q request) bytes(user string) []byte {
	options := ""
	if q.stream() {
		options = `,"stream":true`
		if q.usage {
			options += `,"stream_options":{"include_usage":true}`
		}
	}
	head := `{"model":"gpt-4o"` + options + `,"messages":[{"role":"user","content":"`
	tail := `"}]}`
	text := strings.Repeat("Why is the sky blue? ", q.size/21+1)
	body := head + text[:max(0, q.size-len(head)-len(tail))] + tail
	return fmt.Appendf(nil, "POST /v1/chat/completions HTTP/1.1\r\nhost: %s\r\nauthorization: Bearer none\r\n"+
		"content-type: application/json\r\nx-user-id: %s\r\n%s: %s\r\ncontent-length: %d\r\n\r\n%s",
		q.address, user, answerHeader, q.answer, len(body), body)
}

func hostOf(address string) (string, error) {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" {
		return "", fmt.Errorf("-url is no http://host:port: %q", address)
	}
	return parsed.Host, nil
}

// A connection that asks one thing after the other.
type connection struct {
	net.Conn
	reader *bufio.Reader
	tail   []byte // the last bytes of the body under way
}

func connect(address string) (*connection, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &connection{conn, bufio.NewReaderSize(conn, 65536), make([]byte, 0, 64)}, nil
}

// One answer: its status, and how long until its first byte of a body and its end were there.
type timing struct {
	status       int
	first, whole time.Duration
}

// Send a request and read the answer to its end.
func (c *connection) ask(message []byte, stream bool) (timing, error) {
	begun := time.Now()
	if _, err := c.Write(message); err != nil {
		return timing{}, err
	}
	status, length, err := c.head()
	if err != nil {
		return timing{}, err
	}
	t := timing{status: status}
	c.tail = c.tail[:0]
	if length >= 0 {
		err = c.take(length, begun, &t)
	} else {
		err = c.chunks(begun, &t)
	}
	t.whole = time.Since(begun)
	if err == nil && status == 200 && !isWhole(stream, c.tail) {
		err = fmt.Errorf("an answer that is cut off: it ends with %q", c.tail)
	}
	return t, err
}

// Status, and length of the body; -1 when it comes in chunks.
func (c *connection) head() (status, length int, err error) {
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return 0, 0, err
	}
	fields := bytes.Fields(line)
	if len(fields) < 2 || !bytes.HasPrefix(fields[0], []byte("HTTP/1.1")) {
		return 0, 0, fmt.Errorf("no status line: %q", line)
	}
	if status, err = strconv.Atoi(string(fields[1])); err != nil {
		return 0, 0, err
	}
	length = -2
	for {
		line, err := c.reader.ReadSlice('\n')
		if err != nil {
			return 0, 0, err
		}
		name, value, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(":"))
		switch {
		case len(name) == 0:
			if length == -2 {
				return 0, 0, errors.New("an answer of unknown length")
			}
			return status, length, nil
		case bytes.EqualFold(name, []byte("content-length")):
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, 0, err
			}
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			length = -1
		}
	}
}

func (c *connection) chunks(begun time.Time, t *timing) error {
	for {
		size, err := c.chunk()
		if err != nil {
			return err
		}
		if err := c.take(size, begun, t); err != nil {
			return err
		}
		if _, err := c.reader.Discard(2); err != nil || size == 0 {
			return err
		}
	}
}

// Size of the next chunk.
func (c *connection) chunk() (int, error) {
	line, err := c.reader.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	size, _, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(";"))
	number, err := strconv.ParseInt(string(size), 16, 32)
	return int(number), err
}

// Read so many bytes, and keep the last ones.
func (c *connection) take(size int, begun time.Time, t *timing) error {
	for size > 0 {
		if _, err := c.reader.Peek(1); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if t.first == 0 {
			t.first = time.Since(begun)
		}
		piece, err := c.reader.Peek(min(size, c.reader.Buffered()))
		if err != nil {
			return err
		}
		c.keep(piece)
		if _, err := c.reader.Discard(len(piece)); err != nil {
			return err
		}
		size -= len(piece)
	}
	return nil
}

func (c *connection) keep(piece []byte) {
	const most = 32
	if len(piece) > most {
		piece = piece[len(piece)-most:]
	}
	if over := len(c.tail) + len(piece) - most; over > 0 {
		c.tail = c.tail[:copy(c.tail, c.tail[over:])]
	}
	c.tail = append(c.tail, piece...)
}
