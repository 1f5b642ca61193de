// A witness (C2SP tlog-witness) upon golang.org/x/mod/sumdb, for the tests.
//
//	witness NAME LOG-KEY
//
// It prints its own key and its address, and signs checkpoints of that log until it is ended. What it saw last is in
// memory alone.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// cosigner signs as C2SP tlog-cosignature says; the library asks it for bytes alone.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PrivateKey
}

func (c cosigner) Name() string    { return c.name }
func (c cosigner) KeyHash() uint32 { return c.hash }
func (c cosigner) Sign(text []byte) ([]byte, error) {
	now := uint64(time.Now().Unix())
	signature := ed25519.Sign(c.key, []byte(fmt.Sprintf("cosignature/v1\ntime %d\n%s", now, text)))
	return append(binary.BigEndian.AppendUint64(nil, now), signature...), nil
}

type witness struct {
	sync.Mutex
	log  note.Verifier
	own  cosigner
	seen tlog.Tree
}

func (w *witness) add(out http.ResponseWriter, request *http.Request) {
	w.Lock()
	defer w.Unlock()
	body, _ := io.ReadAll(io.LimitReader(request.Body, 1<<20))
	head, checkpoint, found := bytes.Cut(body, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	old, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "old "), 10, 64)
	if !found || err != nil || !strings.HasPrefix(lines[0], "old ") {
		http.Error(out, "malformed", 400)
		return
	}
	if !bytes.HasPrefix(checkpoint, []byte(w.log.Name()+"\n")) {
		http.Error(out, "unknown log", 404)
		return
	}
	opened, err := note.Open(checkpoint, note.VerifierList(w.log))
	if err != nil {
		http.Error(out, err.Error(), 403)
		return
	}
	text := strings.Split(opened.Text, "\n")
	size, _ := strconv.ParseInt(text[1], 10, 64)
	root, err := tlog.ParseHash(text[2])
	if err != nil || old > size {
		http.Error(out, "malformed", 400)
		return
	}
	if old != w.seen.N {
		out.Header().Set("Content-Type", "text/x.tlog.size")
		out.WriteHeader(409)
		fmt.Fprintf(out, "%d\n", w.seen.N)
		return
	}
	if old == size && root != w.seen.Hash {
		http.Error(out, "another root", 409)
		return
	}
	if old > 0 {
		var proof tlog.TreeProof
		for _, line := range lines[1:] {
			hash, err := tlog.ParseHash(line)
			if err != nil {
				http.Error(out, "malformed", 400)
				return
			}
			proof = append(proof, hash)
		}
		if old < size {
			if err := tlog.CheckTree(proof, size, root, old, w.seen.Hash); err != nil {
				http.Error(out, err.Error(), 422)
				return
			}
		}
	}
	w.seen = tlog.Tree{N: size, Hash: root}
	signed, err := note.Sign(&note.Note{Text: opened.Text}, w.own)
	if err != nil {
		http.Error(out, err.Error(), 500)
		return
	}
	out.Write(signed[len(opened.Text)+1:])
}

func main() {
	log, err := note.NewVerifier(os.Args[2])
	if err != nil {
		panic(err)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	kind := append([]byte{4}, public...)
	sum := sha256.Sum256(append([]byte(os.Args[1]+"\n"), kind...))
	own := cosigner{os.Args[1], binary.BigEndian.Uint32(sum[:]), private}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	w := &witness{log: log, own: own}
	http.HandleFunc("/add-checkpoint", w.add)
	fmt.Printf("%s+%08x+%s http://%s\n", own.name, own.hash, base64.StdEncoding.EncodeToString(kind), listener.Addr())
	http.Serve(listener, nil)
}
