// Judges histories of clients by Porcupine, a checker for linearizability that others wrote and keep. README.md has the format.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

const (
	// The longest line: a list of 2 million ids.
	lineBytesMax = 64 << 20
	// After so long Porcupine gives a history up.
	deadline = 60 * time.Second
	// When an operation ended whose client was told nothing: after all others.
	never = math.MaxInt64
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, lineBytesMax)
	for {
		history, err := read(lines)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "porcupine:", err)
			os.Exit(1)
		}
		fmt.Println(judge(history))
	}
}

// What a client asked for: a write that appends an id, or a read.
type input struct {
	isWrite bool
	id      uint64
}

// What a client was told.
type output struct {
	// The place of a write, or the length that a read saw.
	length uint64
	// A read saw a list with this hash.
	hash uint64
}

type history struct {
	operations []porcupine.Operation
	list       []uint64
}

// One history: lines up to its list.
func read(lines *bufio.Scanner) (history, error) {
	var h history
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 {
			continue
		}
		numbers := make([]uint64, 0, len(fields)-1)
		for _, field := range fields[1:] {
			number, err := uint64(never), error(nil)
			if field != "-" {
				number, err = strconv.ParseUint(field, 10, 64)
			}
			if err != nil {
				return h, fmt.Errorf("%q is no number: %w", field, err)
			}
			numbers = append(numbers, number)
		}
		switch {
		case fields[0] == "list":
			h.list = numbers
			return h, nil
		case fields[0] == "write" && len(numbers) == 4:
			h.add(input{true, numbers[2]}, output{length: numbers[3]}, numbers)
		case fields[0] == "read" && len(numbers) == 4:
			h.add(input{}, output{numbers[2], numbers[3]}, numbers)
		default:
			return h, fmt.Errorf("no line of a history: %.80q", lines.Text())
		}
	}
	if err := lines.Err(); err != nil {
		return h, err
	}
	if len(h.operations) > 0 {
		return h, errors.New("a history ends without its list")
	}
	return h, io.EOF
}

// Each operation is given a client of its own: Porcupine uses the client for drawings only.
func (h *history) add(in input, out output, times []uint64) {
	h.operations = append(h.operations, porcupine.Operation{
		ClientId: len(h.operations), Input: in, Call: int64(times[0]), Output: out, Return: int64(times[1]),
	})
}

// The list as one value: how long it is, and a hash over its ids, in order.
type state struct{ length, hash uint64 }

func (s state) with(id uint64) state {
	return state{s.length + 1, (bits.RotateLeft64(s.hash, 7)^id)*0x9e3779b97f4a7c15 + 1}
}

// A list to which writes append their id, each once. It is `first` before the first of them.
func model(first state) porcupine.Model {
	return porcupine.Model{
		Init: func() interface{} { return first },
		Step: func(before, in, out interface{}) (bool, interface{}) {
			was, asked, told := before.(state), in.(input), out.(output)
			if asked.isWrite {
				now := was.with(asked.id)
				return told.length == now.length, now
			}
			return was == state{told.length, told.hash}, was
		},
		Hash: func(s interface{}) uint64 { return s.(state).hash },
	}
}

// One word: ok, violated, or undecided within the deadline.
func judge(h history) string {
	states := make([]state, len(h.list)+1)
	for at, id := range h.list {
		states[at+1] = states[at].with(id)
	}
	operations := h.placed()
	sort.SliceStable(operations, func(a, b int) bool { return operations[a].Call < operations[b].Call })
	until := time.Now().Add(deadline)
	first := state{}
	for len(operations) > 0 {
		part, length, end := quiet(operations, first.length)
		operations = operations[len(part):]
		if length >= uint64(len(states)) || len(operations) == 0 {
			length = uint64(len(h.list))
		}
		// The list as it must be when this part is over, or at the end of all.
		read := porcupine.Operation{
			ClientId: len(part), Input: input{}, Call: end + 1, Output: output{length, states[length].hash}, Return: end + 2,
		}
		part = append(part[:len(part):len(part)], read)
		switch porcupine.CheckOperationsTimeout(model(first), part, time.Until(until)+time.Millisecond) {
		case porcupine.Illegal:
			return "violated"
		case porcupine.Unknown:
			return "undecided"
		}
		first = states[length]
	}
	if first != states[len(h.list)] {
		return "violated"
	}
	return "ok"
}

// The operations, each write with its place. The list was read when all else was over, and no two writes have one id. So in every legal
// order a write stands at the place that the list shows, and takes effect before a write at a later place has ended. A write that the
// list does not show stands behind that read, and is left out if nobody was told of it. Without this Porcupine would try all orders of
// the writes whose clients were told nothing.
func (h *history) placed() []porcupine.Operation {
	places := make(map[uint64]int, len(h.list))
	for at, id := range h.list {
		if _, is := places[id]; !is {
			places[id] = at
		}
	}
	// When the write at this place, or one behind it, has ended at the earliest.
	ends := make([]int64, len(h.list)+1)
	for at := range ends {
		ends[at] = never
	}
	for _, operation := range h.operations {
		if at, is := places[operation.Input.(input).id]; is && operation.Input.(input).isWrite && operation.Return < ends[at] {
			ends[at] = operation.Return
		}
	}
	for at := len(h.list) - 1; at >= 0; at-- {
		if ends[at+1] < ends[at] {
			ends[at] = ends[at+1]
		}
	}
	var placed []porcupine.Operation
	for _, operation := range h.operations {
		if operation.Input.(input).isWrite {
			at, is := places[operation.Input.(input).id]
			if !is && operation.Return == never {
				continue
			}
			if is && operation.Return == never && ends[at] > operation.Call {
				operation.Return = ends[at]
			}
			if operation.Output.(output).length == never {
				// No write is at place 0.
				operation.Output = output{}
				if is {
					operation.Output = output{length: uint64(at) + 1}
				}
			}
		}
		placed = append(placed, operation)
	}
	return placed
}

// The operations up to the first moment at which none is under way, how long the list must be then, and the last moment of theirs. All
// operations behind that moment stand behind those before it in every legal order, so Porcupine need not see them together: what it
// keeps grows with the square of what it sees.
func quiet(operations []porcupine.Operation, length uint64) ([]porcupine.Operation, uint64, int64) {
	end := int64(0)
	for at, operation := range operations {
		if at > 0 && operation.Call > end {
			return operations[:at], length, end
		}
		if operation.Input.(input).isWrite {
			length++
		}
		if operation.Return != never && operation.Return > end {
			end = operation.Return
		} else if operation.Return == never {
			end = never - 2
		}
	}
	return operations, length, end
}
