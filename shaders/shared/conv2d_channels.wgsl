// The sums of a tile as a list, for stores in a loop: unrolled, their code would be most of a kernel's. With a switch over
// the names instead of an index they took as long as 15 in channels of sums.

fn channels_of(tile: Tile) -> array<vec4f, 8> {
    return array(tile.c0, tile.c1, tile.c2, tile.c3, tile.c4, tile.c5, tile.c6, tile.c7);
}
