// Checks a log with golang.org/x/mod/sumdb, which nobody of Palisade wrote.
//
//	go run tlog.go check KEY CHECKPOINT TILES [OLD-CHECKPOINT]
//
// CHECKPOINT and OLD-CHECKPOINT are files; TILES is a folder of tiles in the layout of C2SP tlog-tiles. All entries of
// TILES/entries are proved to be under the checkpoint, and the old checkpoint to be its beginning.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
}

func read(path string) []byte {
	data, err := os.ReadFile(path)
	must(err)
	return data
}

// open verifies a checkpoint's signature and reads its tree.
func open(file, key string) tlog.Tree {
	verifier, err := note.NewVerifier(key)
	must(err)
	opened, err := note.Open(read(file), note.VerifierList(verifier))
	must(err)
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		must(fmt.Errorf("not a checkpoint of %s: %q", verifier.Name(), opened.Text))
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	root, err := base64.StdEncoding.DecodeString(lines[2])
	must(err)
	tree := tlog.Tree{N: size}
	copy(tree.Hash[:], root)
	return tree
}

// tiles reads tiles where C2SP puts them: without the height that the library has in a path.
type tiles struct{ root string }

func (t tiles) Height() int                                { return 8 }
func (t tiles) SaveTiles(saved []tlog.Tile, data [][]byte) {}
func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range wanted {
		path := strings.TrimPrefix(tile.Path(), "tile/8/")
		data, err := os.ReadFile(filepath.Join(t.root, path))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

// entries reads the entries of a bundle.
func entries(path string) [][]byte {
	data, all := read(path), [][]byte{}
	for len(data) > 0 {
		length := int(binary.BigEndian.Uint16(data))
		all, data = append(all, data[2:2+length]), data[2+length:]
	}
	return all
}

func main() {
	key, checkpoint, root := os.Args[2], os.Args[3], os.Args[4]
	tree := open(checkpoint, key)
	reader := tlog.TileHashReader(tree, tiles{root})
	proved := int64(0)
	for at := int64(0); at < tree.N; at += 256 {
		tile := tlog.Tile{H: 8, L: 0, N: at / 256, W: 256}
		if tree.N-at < 256 {
			tile.W = int(tree.N - at)
		}
		path := strings.TrimPrefix(tile.Path(), "tile/8/0/")
		for i, entry := range entries(filepath.Join(root, "entries", path)) {
			index := at + int64(i)
			proof, err := tlog.ProveRecord(tree.N, index, reader)
			must(err)
			must(tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)))
			proved++
		}
	}
	if proved != tree.N {
		must(fmt.Errorf("%d entries of %d", proved, tree.N))
	}
	if len(os.Args) > 5 {
		old := open(os.Args[5], key)
		proof, err := tlog.ProveTree(tree.N, old.N, reader)
		must(err)
		must(tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash))
	}
	fmt.Printf("%d entries are proved\n", proved)
}
