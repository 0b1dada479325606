// As small_inverse.wgsl, by eight lanes of one subgroup: no barrier, and values pass from lane to lane in registers.
//
// For devices whose threads are vectors of a processor (lavapipe). There a value that another lane wrote to workgroup memory
// costs as much as 25 multiplications, and a broadcast half of one.
//
// A tile is a block of 8 x 8: a lane holds a row of it. Pivots are taken eight at a time. With P the tile of the pivots and
// U_I those beside it,
//
//   S_IJ <- S_IJ - U_I P^-1 U_J^T,   S_IK <- U_I P^-1,   S_KK <- -P^-1
//
// which is eight steps of the sweep operator at once. Joined with state.wgsl and signs.wgsl.

override BLOCKS: u32;  // along a side

const LANES = 8u;
const MOST = 16u;  // blocks that arrays of a lane have room for
const NONE = 0xffffffffu;
const TURNS = 8u;

struct Member {
  size: u32,    // d: rows before padding
  source: u32,  // element at which its matrix starts
  result: u32,  // element at which its inverse starts, or NONE where the pivots are all that matters
}

@group(0) @binding(0) var<storage, read> sources: array<f32>;  // [d, d] each
@group(0) @binding(1) var<storage, read> members: array<Member>;
@group(0) @binding(2) var<storage, read> shifts: array<f32>;
@group(0) @binding(3) var<storage, read_write> results: array<f32>;  // as the sources
@group(0) @binding(4) var<storage, read_write> states: array<MatrixState>;
@group(0) @binding(5) var<storage, read_write> queue: Queue;

struct Queue {
  next: atomic<u32>,  // the first member that nobody has taken
  count: u32,
}

// This lane's row.
struct Tile {
  left: vec4f,
  right: vec4f,
}

alias Tiles = array<Tile, MOST>;      // indexed by block
alias Vectors = array<vec4f, MOST>;   // four vectors: this lane's entry of each block
alias Spread = array<vec4f, 16>;      // a tile in every lane: of each column its upper half, then its lower

// Tiles below the diagonal, row by row of blocks; a lane reads and writes its own rows alone.
var<workgroup> below: array<vec4f, 8 * BLOCKS * (BLOCKS - 1)>;

// A workgroup takes members as long as there are any, up to TURNS; there are as many workgroups as members. lavapipe gives each of
// its threads as many workgroups as the others, and one that shares its core with the server would keep all waiting. And it ends
// every loop of an invocation for good once it has gone round 65535 times in all of them: a member of 128 takes some 4000.
@compute @workgroup_size(LANES)
fn small_inverse(@builtin(local_invocation_index) lane: u32) {
  for (var turn = 0u; turn < TURNS; turn++) {
    var taken = 0u;
    if (lane == 0) { taken = atomicAdd(&queue.next, 1u); }
    let at = subgroupBroadcast(taken, 0u);
    if (at >= queue.count) { break; }
    invert(at, lane);
  }
}

fn invert(at: u32, lane: u32) {
  let member = members[at];
  let shift = shifts[at];
  var diagonal: Tiles;
  let largest = max(load(&diagonal, member, lane), abs(shift));
  var state = MatrixState();
  state.size = f32(member.size);
  state.shift = shift;
  if (largest > 0.0) { state.exponent = 127.0 - f32(bitcast<u32>(largest) >> 23u); }
  let scale = power_of_two(state.exponent);

  prepare(&diagonal, member.size, scale, scale * shift, lane);
  if (member.result == NONE) {
    state.failed = sweep(&diagonal, true, lane);
    if (lane == 0) { states[at] = state; }
    return;
  }

  var x: Vectors;
  var y: Vectors;
  set_to_signs(&x, member.size, lane);
  let m_once = multiply(&diagonal, &x, &y, lane);
  let m_twice = multiply(&diagonal, &y, &x, lane);

  state.failed = sweep(&diagonal, false, lane);  // S = -X from here on
  set_to_signs(&x, member.size, lane);
  let x_once = multiply(&diagonal, &x, &y, lane);
  let x_twice = multiply(&diagonal, &y, &x, lane);
  unload(&diagonal, member, -scale, lane);

  load(&diagonal, member, lane);
  prepare(&diagonal, member.size, scale, scale * shift, lane);
  multiply(&diagonal, &y, &x, lane);  // x = -M X p
  var missed = vec4f(0.0);
  for (var I = 0u; I < BLOCKS; I++) {
    let miss = x[I] + sign_within(member.size, 8 * I + lane);
    missed += miss * miss;
  }
  missed = subgroupAdd(missed);
  if (lane > 0) { return; }
  state.residual = sqrt(dot(missed, vec4f(0.25)) / state.size);
  state.condition = largest_in(sqrt(m_twice / m_once)) * largest_in(sqrt(x_twice / x_once));
  state.magnitude = sqrt(dot(x_once, vec4f(0.25)));
  states[at] = state;
}

// Where a lane's row of tile (I, J), J < I, stands.
fn place(I: u32, J: u32, lane: u32) -> u32 {
  return 8 * I * (I - 1) + 16 * J + 2 * lane;
}

fn tile_below(I: u32, J: u32, lane: u32) -> Tile {
  let at = place(I, J, lane);
  return Tile(below[at], below[at + 1]);
}

fn set_below(I: u32, J: u32, lane: u32, tile: Tile) {
  let at = place(I, J, lane);
  below[at] = tile.left;
  below[at + 1] = tile.right;
}

// (M + M^T) / 2, zero outside. Returns its largest value.
fn load(diagonal: ptr<function, Tiles>, member: Member, lane: u32) -> f32 {
  var largest = vec4f(0.0);
  for (var I = 0u; I < BLOCKS; I++) {
    for (var J = 0u; J < I; J++) {
      let tile = loaded(member, 8 * I + lane, 8 * J);
      largest = max(largest, max(abs(tile.left), abs(tile.right)));
      set_below(I, J, lane, tile);
    }
    let tile = loaded(member, 8 * I + lane, 8 * I);
    largest = max(largest, max(abs(tile.left), abs(tile.right)));
    (*diagonal)[I] = tile;
  }
  return subgroupMax(largest_in(largest));
}

fn loaded(member: Member, i: u32, j: u32) -> Tile {
  return Tile(
    vec4f(mean(member, i, j), mean(member, i, j + 1), mean(member, i, j + 2),
          mean(member, i, j + 3)),
    vec4f(mean(member, i, j + 4), mean(member, i, j + 5), mean(member, i, j + 6),
          mean(member, i, j + 7)),
  );
}

fn mean(member: Member, i: u32, j: u32) -> f32 {
  let d = member.size;
  let row = min(i, d - 1);
  let column = min(j, d - 1);
  let value = 0.5 * sources[member.source + row * d + column] +
      0.5 * sources[member.source + column * d + row];
  return select(0.0, value, i < d && j < d);
}

// Scales and shifts, with 1 on the padding's diagonal.
fn prepare(diagonal: ptr<function, Tiles>, size: u32, scale: f32, shift: f32, lane: u32) {
  for (var I = 0u; I < BLOCKS; I++) {
    for (var J = 0u; J < I; J++) {
      let tile = tile_below(I, J, lane);
      set_below(I, J, lane, Tile(scale * tile.left, scale * tile.right));
    }
    let more = select(1.0, shift, 8 * I + lane < size);
    let low = select(vec4f(0.0), vec4f(more), vec4u(lane) == vec4u(0, 1, 2, 3));
    let high = select(vec4f(0.0), vec4f(more), vec4u(lane) == vec4u(4, 5, 6, 7));
    let tile = (*diagonal)[I];
    (*diagonal)[I] = Tile(scale * tile.left + low, scale * tile.right + high);
  }
}

// Sweeps all pivots. Returns how many were not positive.
//
// With pivots_only nothing is done to blocks whose pivots were taken: no later pivot depends on them.
fn sweep(diagonal: ptr<function, Tiles>, pivots_only: bool, lane: u32) -> f32 {
  var u: Tiles;  // U_I
  var w: Tiles;  // -U_I P^-1
  var failed = 0.0;
  for (var K = 0u; K < BLOCKS; K++) {
    var p = (*diagonal)[K];
    failed += sweep_tile(&p, lane);  // -P^-1
    var spread = spread_of(p);
    let first = select(0u, K + 1, pivots_only);
    for (var I = first; I < K; I++) {
      u[I] = turned(tile_below(K, I, lane), lane);
      w[I] = plus_product(Tile(), u[I], &spread);
      set_below(K, I, lane, turned(minus(w[I]), lane));
    }
    u[K] = Tile();
    w[K] = Tile();
    for (var I = K + 1; I < BLOCKS; I++) {
      u[I] = tile_below(I, K, lane);
      w[I] = plus_product(Tile(), u[I], &spread);
      if (!pivots_only) { set_below(I, K, lane, minus(w[I])); }
    }
    for (var J = first; J < BLOCKS; J++) {
      spread = spread_of(u[J]);
      (*diagonal)[J] = plus_product((*diagonal)[J], w[J], &spread);
      for (var I = J + 1; I < BLOCKS; I++) {
        set_below(I, J, lane, plus_product(tile_below(I, J, lane), w[I], &spread));
      }
    }
    (*diagonal)[K] = p;
  }
  return failed;
}

// Sweeps the eight pivots of a tile on the diagonal, which becomes minus its inverse. Returns how many were not positive.
fn sweep_tile(p: ptr<function, Tile>, lane: u32) -> f32 {
  var failed = 0.0;
  let d0 = sweep_pivot(p, (*p).left.x, subgroupBroadcast((*p).left.x, 0u), lane == 0, &failed);
  (*p).left.x = select((*p).left.x, d0, lane == 0);
  let d1 = sweep_pivot(p, (*p).left.y, subgroupBroadcast((*p).left.y, 1u), lane == 1, &failed);
  (*p).left.y = select((*p).left.y, d1, lane == 1);
  let d2 = sweep_pivot(p, (*p).left.z, subgroupBroadcast((*p).left.z, 2u), lane == 2, &failed);
  (*p).left.z = select((*p).left.z, d2, lane == 2);
  let d3 = sweep_pivot(p, (*p).left.w, subgroupBroadcast((*p).left.w, 3u), lane == 3, &failed);
  (*p).left.w = select((*p).left.w, d3, lane == 3);
  let d4 = sweep_pivot(p, (*p).right.x, subgroupBroadcast((*p).right.x, 4u), lane == 4, &failed);
  (*p).right.x = select((*p).right.x, d4, lane == 4);
  let d5 = sweep_pivot(p, (*p).right.y, subgroupBroadcast((*p).right.y, 5u), lane == 5, &failed);
  (*p).right.y = select((*p).right.y, d5, lane == 5);
  let d6 = sweep_pivot(p, (*p).right.z, subgroupBroadcast((*p).right.z, 6u), lane == 6, &failed);
  (*p).right.z = select((*p).right.z, d6, lane == 6);
  let d7 = sweep_pivot(p, (*p).right.w, subgroupBroadcast((*p).right.w, 7u), lane == 7, &failed);
  (*p).right.w = select((*p).right.w, d7, lane == 7);
  return failed;
}

// Sweeps one pivot but for its own place, whose value it returns. `mine` is this lane's entry of its column.
fn sweep_pivot(
  tile: ptr<function, Tile>, mine: f32, pivot: f32, is_mine: bool, failed: ptr<function, f32>,
) -> f32 {
  let is_good = pivot > 0.0;
  let p = select(1.0, pivot, is_good);
  *failed += select(1.0, 0.0, is_good);
  let u = select(mine, p - 1.0, is_mine);  // small_inverse.wgsl says why
  let factor = vec4f(-u / p);
  (*tile).left = fma(factor, lower_lanes(u), (*tile).left);
  (*tile).right = fma(factor, upper_lanes(u), (*tile).right);
  return -1.0 / p;
}

fn lower_lanes(x: f32) -> vec4f {
  return vec4f(
    subgroupBroadcast(x, 0u), subgroupBroadcast(x, 1u), subgroupBroadcast(x, 2u),
    subgroupBroadcast(x, 3u),
  );
}

fn upper_lanes(x: f32) -> vec4f {
  return vec4f(
    subgroupBroadcast(x, 4u), subgroupBroadcast(x, 5u), subgroupBroadcast(x, 6u),
    subgroupBroadcast(x, 7u),
  );
}

fn spread_of(tile: Tile) -> Spread {
  return Spread(
    lower_lanes(tile.left.x), upper_lanes(tile.left.x),
    lower_lanes(tile.left.y), upper_lanes(tile.left.y),
    lower_lanes(tile.left.z), upper_lanes(tile.left.z),
    lower_lanes(tile.left.w), upper_lanes(tile.left.w),
    lower_lanes(tile.right.x), upper_lanes(tile.right.x),
    lower_lanes(tile.right.y), upper_lanes(tile.right.y),
    lower_lanes(tile.right.z), upper_lanes(tile.right.z),
    lower_lanes(tile.right.w), upper_lanes(tile.right.w),
  );
}

// C + W U^T, U being spread.
fn plus_product(c: Tile, w: Tile, u: ptr<function, Spread>) -> Tile {
  var sum = c;
  sum.left = fma(vec4f(w.left.x), (*u)[0], sum.left);
  sum.right = fma(vec4f(w.left.x), (*u)[1], sum.right);
  sum.left = fma(vec4f(w.left.y), (*u)[2], sum.left);
  sum.right = fma(vec4f(w.left.y), (*u)[3], sum.right);
  sum.left = fma(vec4f(w.left.z), (*u)[4], sum.left);
  sum.right = fma(vec4f(w.left.z), (*u)[5], sum.right);
  sum.left = fma(vec4f(w.left.w), (*u)[6], sum.left);
  sum.right = fma(vec4f(w.left.w), (*u)[7], sum.right);
  sum.left = fma(vec4f(w.right.x), (*u)[8], sum.left);
  sum.right = fma(vec4f(w.right.x), (*u)[9], sum.right);
  sum.left = fma(vec4f(w.right.y), (*u)[10], sum.left);
  sum.right = fma(vec4f(w.right.y), (*u)[11], sum.right);
  sum.left = fma(vec4f(w.right.z), (*u)[12], sum.left);
  sum.right = fma(vec4f(w.right.z), (*u)[13], sum.right);
  sum.left = fma(vec4f(w.right.w), (*u)[14], sum.left);
  sum.right = fma(vec4f(w.right.w), (*u)[15], sum.right);
  return sum;
}

fn minus(tile: Tile) -> Tile {
  return Tile(-tile.left, -tile.right);
}

// The transpose, in three exchanges: of halves, of pairs within them, of neighbours.
fn turned(tile: Tile, lane: u32) -> Tile {
  let in_upper = (lane & 4) != 0;
  let half = subgroupShuffle(select(tile.right, tile.left, in_upper), lane ^ 4);
  let a = select(tile.left, half, in_upper);
  let b = select(half, tile.right, in_upper);
  return Tile(turned_quad(a, lane), turned_quad(b, lane));
}

// The same within four lanes.
fn turned_quad(row: vec4f, lane: u32) -> vec4f {
  let in_upper = (lane & 2) != 0;
  let pair = subgroupShuffle(select(row.zw, row.xy, in_upper), lane ^ 2);
  let q = select(vec4f(row.xy, pair), vec4f(pair, row.zw), in_upper);
  let is_odd = (lane & 1) != 0;
  let one = subgroupShuffle(select(q.yw, q.xz, is_odd), lane ^ 1);
  return select(vec4f(q.x, one.x, q.z, one.y), vec4f(one.x, q.y, one.y, q.w), is_odd);
}

// y = S x. Returns the squares of y.
fn multiply(
  diagonal: ptr<function, Tiles>, x: ptr<function, Vectors>, y: ptr<function, Vectors>, lane: u32,
) -> vec4f {
  for (var I = 0u; I < BLOCKS; I++) {
    let x_here = (*x)[I];
    var sum = times((*diagonal)[I], x_here);
    for (var J = 0u; J < I; J++) {
      let tile = tile_below(I, J, lane);
      sum += times(tile, (*x)[J]);
      (*y)[J] += times(turned(tile, lane), x_here);
    }
    (*y)[I] = sum;
  }
  var squares = vec4f(0.0);
  for (var I = 0u; I < BLOCKS; I++) { squares += (*y)[I] * (*y)[I]; }
  return subgroupAdd(squares);
}

fn times(tile: Tile, x: vec4f) -> vec4f {
  return ((tile.left.x * subgroupBroadcast(x, 0u) + tile.left.y * subgroupBroadcast(x, 1u)) +
    (tile.left.z * subgroupBroadcast(x, 2u) + tile.left.w * subgroupBroadcast(x, 3u))) +
    ((tile.right.x * subgroupBroadcast(x, 4u) + tile.right.y * subgroupBroadcast(x, 5u)) +
    (tile.right.z * subgroupBroadcast(x, 6u) + tile.right.w * subgroupBroadcast(x, 7u)));
}

// x becomes four sign vectors, zero in the padding.
fn set_to_signs(x: ptr<function, Vectors>, size: u32, lane: u32) {
  for (var I = 0u; I < BLOCKS; I++) { (*x)[I] = sign_within(size, 8 * I + lane); }
}

fn sign_within(size: u32, i: u32) -> vec4f {
  return select(vec4f(0.0), signs(i), i < size);
}

// The matrix and its mirror, times a factor.
fn unload(diagonal: ptr<function, Tiles>, member: Member, factor: f32, lane: u32) {
  for (var I = 0u; I < BLOCKS; I++) {
    for (var J = 0u; J < I; J++) { store(member, I, J, lane, factor, tile_below(I, J, lane)); }
    store(member, I, I, lane, factor, (*diagonal)[I]);
  }
}

fn store(member: Member, I: u32, J: u32, lane: u32, factor: f32, tile: Tile) {
  let i = 8 * I + lane;
  let j = 8 * J;
  store_value(member, i, j, factor * tile.left.x);
  store_value(member, i, j + 1, factor * tile.left.y);
  store_value(member, i, j + 2, factor * tile.left.z);
  store_value(member, i, j + 3, factor * tile.left.w);
  store_value(member, i, j + 4, factor * tile.right.x);
  store_value(member, i, j + 5, factor * tile.right.y);
  store_value(member, i, j + 6, factor * tile.right.z);
  store_value(member, i, j + 7, factor * tile.right.w);
}

fn store_value(member: Member, i: u32, j: u32, value: f32) {
  if (i >= member.size || j > i) { return; }
  results[member.result + i * member.size + j] = value;
  results[member.result + j * member.size + i] = value;
}

fn largest_in(v: vec4f) -> f32 {
  return max(max(v.x, v.y), max(v.z, v.w));
}
