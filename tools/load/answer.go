package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// Header by which a request says what it wants to be answered: "json 1024" (bytes), "sse 64" (deltas) or "hold 2".
const answerHeader = "X-Load-Answer"

// Tokens that every answer reports; what is charged can be checked by them.
const promptTokens, completionTokens = 9, 240

var words = strings.Fields("the model says that a token is about four letters and so on")

// Answer is what is written for one kind of request: a body whole, or pieces each in a write of its own.
type answer struct {
	contentType string
	pieces      [][]byte
	holds       bool
}

// Answers of a chat completion. asked: the client wants the usage of a stream to be reported.
func makeAnswer(wanted string, asked bool) (answer, error) {
	kind, number, _ := strings.Cut(wanted, " ")
	size, err := strconv.Atoi(number)
	if err != nil || size < 1 {
		return answer{}, fmt.Errorf("no number in %q", wanted)
	}
	switch kind {
	case "json":
		return answer{"application/json", [][]byte{completion(size)}, false}, nil
	case "sse":
		return answer{"text/event-stream", append(deltas(size, asked), end(asked)...), false}, nil
	case "hold":
		return answer{"text/event-stream", deltas(size, asked), true}, nil
	}
	return answer{}, fmt.Errorf("no kind of answer is called %q", kind)
}

func completion(size int) []byte {
	head := `{"id":"chatcmpl-Bq7pXr2kLw9s","object":"chat.completion","created":1764000000,"model":"gpt-4o",` +
		`"choices":[{"index":0,"message":{"role":"assistant","content":"`
	tail := fmt.Sprintf(`"},"logprobs":null,"finish_reason":"stop"}],"usage":%s}`, usage())
	text := strings.Repeat("Because of the way light scatters. ", size/35+1)
	return []byte(head + text[:max(0, size-len(head)-len(tail))] + tail)
}

func usage() string {
	return fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}`,
		promptTokens, completionTokens, promptTokens+completionTokens)
}

func chunk(choices, usage string) []byte {
	return fmt.Appendf(nil, `data: {"id":"chatcmpl-Bq7pXr2kLw9s","object":"chat.completion.chunk","created":1764000000,`+
		`"model":"gpt-4o","choices":[%s]%s}`+"\n\n", choices, usage)
}

func deltas(count int, asked bool) [][]byte {
	none := ""
	if asked {
		none = `,"usage":null`
	}
	pieces := make([][]byte, count)
	for n := range pieces {
		word := words[(n*7+n/13)%len(words)]
		delta := fmt.Sprintf(`{"index":0,"delta":{"content":" %s"},"logprobs":null,"finish_reason":null}`, word)
		pieces[n] = chunk(delta, none)
	}
	return pieces
}

func end(asked bool) [][]byte {
	stop := `{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}`
	if !asked {
		return [][]byte{chunk(stop, ""), []byte(done)}
	}
	return [][]byte{chunk(stop, `,"usage":null`), chunk("", `,"usage":`+usage()), []byte(done)}
}

const done = "data: [DONE]\n\n"

// Whether a body has come to its end.
func isWhole(stream bool, tail []byte) bool {
	if stream {
		return bytes.HasSuffix(bytes.TrimRight(tail, "\n"), []byte("data: [DONE]"))
	}
	return bytes.HasSuffix(tail, []byte("}"))
}
