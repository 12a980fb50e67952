package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

func flagsOf(command string, q *request, connections *int, users *string) (*flag.FlagSet, *string) {
	flags := flag.NewFlagSet(command, flag.ExitOnError)
	flags.StringVar(&q.answer, "answer", "json 1024", "what the upstream answers")
	flags.IntVar(&q.size, "body", 1024, "bytes of a request's body")
	flags.BoolVar(&q.usage, "usage", true, "of a stream: ask for its usage")
	flags.IntVar(connections, "connections", 1, "how many are open; one request at a time on each")
	flags.StringVar(users, "users", "user", "what the users' names begin with; there is one for each connection")
	return flags, flags.String("url", "", "http://host:port of the gateway")
}

// What drive prints. Times are in milliseconds.
type driven struct {
	Requests int                `json:"requests"`
	Seconds  float64            `json:"seconds"`
	Statuses map[string]int     `json:"statuses"`
	Latency  map[string]float64 `json:"latency"`
	First    map[string]float64 `json:"first"`
}

// Drive asks in a closed loop: so many requests, each connection the next one when it has its answer.
func drive(arguments []string) error {
	q, connections, users := request{}, 0, ""
	flags, address := flagsOf("drive", &q, &connections, &users)
	requests := flags.Int("requests", 1, "how many in all")
	flags.Parse(arguments)
	host, err := hostOf(*address)
	if err != nil {
		return err
	}
	q.address = host
	results := make([][]timing, connections)
	failures := make([]error, connections)
	left := atomic.Int64{}
	left.Store(int64(*requests))
	var group sync.WaitGroup
	begun := time.Now()
	for n := range connections {
		group.Go(func() {
			results[n], failures[n] = asking(q, q.bytes(users+"-"+strconv.Itoa(n)), &left)
		})
	}
	group.Wait()
	seconds := time.Since(begun).Seconds()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(told(slices.Concat(results...), seconds))
}

// Ask until nothing is left to ask.
func asking(q request, message []byte, left *atomic.Int64) ([]timing, error) {
	conn, err := connect(q.address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	timings := []timing{}
	for left.Add(-1) >= 0 {
		t, err := conn.ask(message, q.stream())
		if err != nil {
			return nil, fmt.Errorf("request %d of a connection: %w", len(timings), err)
		}
		timings = append(timings, t)
	}
	return timings, nil
}

func told(timings []timing, seconds float64) driven {
	statuses := map[string]int{}
	latency, first := []time.Duration{}, []time.Duration{}
	for _, t := range timings {
		statuses[strconv.Itoa(t.status)]++
		latency = append(latency, t.whole)
		first = append(first, t.first)
	}
	return driven{len(timings), seconds, statuses, quantiles(latency), quantiles(first)}
}

// Of n values in order, quantile q is number ceil(q * n): a value that was seen.
func quantiles(values []time.Duration) map[string]float64 {
	slices.Sort(values)
	found := map[string]float64{}
	for name, percent := range map[string]int{"p50": 50, "p90": 90, "p99": 99} {
		at := max(0, (len(values)*percent+99)/100-1)
		found[name] = float64(values[at].Nanoseconds()) / 1e6
	}
	return found
}

// Hold opens streams, says so when each has begun, and keeps them open until its standard input ends.
func hold(arguments []string) error {
	q, connections, users := request{}, 0, ""
	flags, address := flagsOf("hold", &q, &connections, &users)
	flags.Parse(arguments)
	host, err := hostOf(*address)
	if err != nil {
		return err
	}
	q.address = host
	if !strings.HasPrefix(q.answer, "hold ") {
		return errors.New(`-answer has to be one that holds, such as "hold 2"`)
	}
	failures := make([]error, connections)
	open := make([]*connection, connections)
	var group sync.WaitGroup
	for n := range connections {
		group.Go(func() {
			open[n], failures[n] = opened(q, q.bytes(users+"-"+strconv.Itoa(n)))
		})
	}
	group.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	fmt.Println("holding", connections)
	_, err = io.Copy(io.Discard, os.Stdin)
	for _, conn := range open {
		conn.Close()
	}
	return err
}

// A stream of which the first piece has come.
func opened(q request, message []byte) (*connection, error) {
	conn, err := connect(q.address)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(message); err != nil {
		return nil, err
	}
	status, length, err := conn.head()
	if err == nil && (status != 200 || length != -1) {
		err = fmt.Errorf("no stream but a %d", status)
	}
	if err == nil {
		_, err = conn.chunk()
	}
	return conn, err
}
