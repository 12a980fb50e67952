package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
)

type wish struct {
	wanted string
	asked  bool
}

// Serve answers on a free port of loopback until it is ended; the first line says where.
func serve(arguments []string) error {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	flags.Parse(arguments)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	made := sync.Map{} // an answer of each kind is made once
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client is gone
		}
		key := wish{r.Header.Get(answerHeader), bytes.Contains(body, []byte(`"include_usage"`))}
		found, ok := made.Load(key)
		if !ok {
			answer, err := makeAnswer(key.wanted, key.asked)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			found, _ = made.LoadOrStore(key, answer)
		}
		write(w, r, found.(answer))
	}))
}

func write(w http.ResponseWriter, r *http.Request, answer answer) {
	w.Header().Set("Content-Type", answer.contentType)
	if len(answer.pieces) == 1 && !answer.holds {
		w.Header().Set("Content-Length", strconv.Itoa(len(answer.pieces[0])))
		w.Write(answer.pieces[0])
		return
	}
	flusher := w.(http.Flusher)
	for _, piece := range answer.pieces {
		if _, err := w.Write(piece); err != nil {
			return
		}
		flusher.Flush()
	}
	if answer.holds {
		<-r.Context().Done()
	}
}
