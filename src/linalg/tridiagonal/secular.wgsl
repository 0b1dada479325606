// Eigenvalues of a diagonal matrix with a rank-one update, and weights of which they are exact.
//
//   D + rho z z^T:   1 / rho + sum_i z_i^2 / (d_i - lambda) = 0
//   zhat_i^2 = prod_j (lambda_j - d_i) / prod_{j != i} (d_j - d_i)
//
// A root is sought as its distance eta from the nearer pole, by the rational interpolation of fixed
// weight; a bracket halves where that fails. One workgroup a root, then one a weight. Joined with a
// form of reduce/ and merge.wgsl.
//
// Source: Cuppen 1981; Li 1994 (LAPACK's laed4); Gu and Eisenstat 1995 (laed3).

@group(0) @binding(0) var<storage, read> poles: array<Pole>;         // [batch, side]
@group(0) @binding(1) var<storage, read> counts: array<Counts>;      // [batch, merges]
@group(0) @binding(2) var<storage, read> tridiagonal: array<vec4f>;  // [batch, side]: d, e
@group(0) @binding(3) var<storage, read_write> roots: array<Root>;   // [batch, side]
@group(0) @binding(4) var<storage, read_write> results: array<f32>;  // [batch, side]: eigenvalues, or weights
@group(0) @binding(5) var<uniform> params: Params;

const LANES = 64u;
const MOST_STEPS = 60u;
const EPSILON = 1.2e-7;
alias Value = vec4f;

var<workgroup> is_done: u32;

@compute @workgroup_size(LANES)
fn secular_roots(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let merge = merge_at(group.y);
  let first = group.z * params.side + merge.start;
  let count = counts[group.z * groups.y + group.y].moved;
  let j = group.x;
  if (j >= count) { return; }

  let is_last = j + 1 == count;
  let rho = 2 * abs(tridiagonal[group.z * params.side + merge.middle - 1].y);
  let own = poles[first + j].value;
  var squares = 0.0;
  for (var i = lane; i < count; i += LANES) {
    squares += poles[first + i].weight * poles[first + i].weight;
  }
  let weights = sum_of(vec4f(squares, 0.0, 0.0, 0.0), lane).x;
  var width = rho * weights;
  if (!is_last) { width = poles[first + j + 1].value - own; }
  if (count == 1) {
    if (lane == 0) { store(first, j, Root(0, width)); }
    return;
  }

  // psi sums over the poles up to `split`, phi over those beyond.
  let split = min(j, count - 2);
  var eta = 0.5 * width;
  var point = evaluate(first, count, split, own, eta, lane, rho);
  var origin = j;
  var low = 0.0;
  var high = 0.5 * width;
  if (is_last && point.x < 0.0) {
    low = 0.5 * width;
    high = width;
  } else if (!is_last && point.x < 0.0) {
    origin = j + 1;
    eta = -0.5 * width;
    low = eta;
    high = 0.0;
  }
  let at_origin = poles[first + origin].value;
  let left = poles[first + split].value - at_origin;
  let right = poles[first + split + 1].value - at_origin;
  let weight = poles[first + origin].weight;

  var is_stuck = false;
  for (var step = 0u; step < MOST_STEPS; step++) {
    let slope = point.y + point.z;
    if (lane == 0) {
      is_done = u32(is_stuck || abs(point.x) <= EPSILON * (8 * point.w + abs(eta) * slope));
    }
    if (workgroupUniformLoad(&is_done) != 0) { break; }
    if (point.x < 0.0) { low = eta; } else { high = eta; }
    let d_left = left - eta;
    let d_right = right - eta;
    var change: f32;
    if (is_last) {
      change = last_step(point, d_left, d_right);
    } else {
      change = inner_step(point, d_left, d_right, width, weight, origin == j);
    }
    if (!(point.x * change < 0.0)) { change = -point.x / slope; }
    var next = eta + change;
    if (!(next > low && next < high)) { next = 0.5 * (low + high); }
    is_stuck = next == eta || next == low || next == high;
    if (!is_stuck) { eta = next; }
    point = evaluate(first, count, split, at_origin, eta, lane, rho);
  }
  if (lane == 0) { store(first, j, Root(origin, eta)); }
}

fn store(first: u32, j: u32, root: Root) {
  roots[first + j] = root;
  results[first + j] = poles[first + root.origin].value + root.eta;
}

// The secular function at origin + eta, the slopes of psi and of phi, and the sum of its terms' sizes,
// which rounding is relative to.
fn evaluate(
  first: u32, count: u32, split: u32, origin: f32, eta: f32, lane: u32, rho: f32,
) -> vec4f {
  var mine = vec4f(0.0);
  for (var i = lane; i < count; i += LANES) {
    let pole = poles[first + i];
    let ratio = pole.weight / ((pole.value - origin) - eta);
    let term = pole.weight * ratio;
    let slope = ratio * ratio;
    mine += vec4f(term, select(0.0, slope, i <= split), select(slope, 0.0, i <= split), abs(term));
  }
  workgroupBarrier();  // what was summed before was read
  return sum_of(mine, lane) + vec4f(1.0 / rho, 0.0, 0.0, 1.0 / rho);
}

// The zero of c + s / (d_j - x) + S / (d_{j+1} - x) that meets the function's value and slope here,
// with the nearer pole's own weight.
fn inner_step(
  point: vec4f, d_left: f32, d_right: f32, gap: f32, weight: f32, is_left: bool,
) -> f32 {
  let slope = point.y + point.z;
  var c: f32;
  if (is_left) {
    let q = weight / d_left;
    c = point.x - d_right * slope + gap * q * q;
  } else {
    let q = weight / d_right;
    c = point.x - d_left * slope - gap * q * q;
  }
  let a = (d_left + d_right) * point.x - d_left * d_right * slope;
  let b = d_left * d_right * point.x;
  if (c == 0.0) { return b / a; }
  let root = sqrt(abs(a * a - 4 * b * c));
  if (a <= 0.0) { return (a - root) / (2 * c); }
  return 2 * b / (a + root);
}

// The same for the last root, of which both poles lie below.
fn last_step(point: vec4f, d_left: f32, d_right: f32) -> f32 {
  let c = abs(point.x - d_left * point.y - d_right * point.z);
  let slope = point.y + point.z;
  let a = (d_left + d_right) * point.x - d_left * d_right * slope;
  let b = d_left * d_right * point.x;
  if (c == 0.0) { return -point.x / slope; }
  let root = sqrt(abs(a * a - 4 * b * c));
  if (a >= 0.0) { return (a + root) / (2 * c); }
  return 2 * b / (a - root);
}

@compute @workgroup_size(LANES)
fn exact_weights(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let merge = merge_at(group.y);
  let first = group.z * params.side + merge.start;
  let count = counts[group.z * groups.y + group.y].moved;
  let i = group.x;
  if (i >= count) { return; }
  let own = poles[first + i];
  var mine = 1.0;
  for (var j = lane; j < count; j += LANES) {
    let root = roots[first + j];
    let distance = (own.value - poles[first + root.origin].value) - root.eta;
    if (j == i) { mine *= -distance; } else { mine *= distance / (own.value - poles[first + j].value); }
  }
  let square = product_of(vec4f(mine), lane).x;
  if (lane > 0) { return; }
  results[first + i] = select(1.0, -1.0, own.weight < 0.0) * sqrt(abs(square));
}
