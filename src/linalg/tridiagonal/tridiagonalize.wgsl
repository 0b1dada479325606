// One step of Householder's reduction of a symmetric matrix to tridiagonal form, in one dispatch.
//
// With the reflector H = I - tau v v^T of the step before, p = A v and
//
//   w = tau p - tau^2/2 (p^T v) v,   H A H = A - v w^T - w v^T
//
// step j takes column j of that, c, finds the reflector that leaves (d_j, e_j) of it, brings the rows
// beyond j up to date and multiplies them by the new v on the way: A is read and written once a
// step. What is n long (w, c, the new v) every workgroup computes for itself, so that a step needs no
// wait inside it. All of A is kept, not a triangle: row j is column j.
//
// A step is short, and what it takes is waiting: so all is asked for at the start, and there are
// three sums. A lane owns four columns throughout, in registers; a workgroup owns eight rows. What a
// row sums to depends on the side alone. Joined with `const LANES`, a quarter of the side or more,
// and with a form of reduce/.
//
// Source: Golub and Van Loan, Matrix Computations, 8.3.1 (LAPACK's sytd2).

struct Params {
  side: u32,
  step: u32,  // j
}

@group(0) @binding(0) var<storage, read_write> a: array<vec4f>;           // [batch, side, side]
@group(0) @binding(1) var<storage, read_write> reflectors: array<vec4f>;  // [batch, side, side]: v_j in row j
@group(0) @binding(2) var<storage, read_write> products: array<vec4f>;    // [batch, 2, side]: p of steps even and odd
@group(0) @binding(3) var<storage, read_write> tridiagonal: array<vec4f>; // [batch, side]: d_j, e_j, tau_j
@group(0) @binding(4) var<uniform> params: Params;

alias Value = vec4f;

// A column of which less than this is left, squared, has no reflector: 1e-12 of a matrix whose largest
// entry is near 1. Its terms could fall below what float32 holds, and v would not be what tau is of.
const NEGLIGIBLE = 1e-24;

@compute @workgroup_size(LANES)
fn tridiagonalize(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let j = params.step;
  let quads = params.side / 4;
  let matrix = group.z * params.side * quads;
  let octet = min((j + 1) / 8 + group.x, params.side / 8 - 1);  // rows 8 octet .. 8 octet + 7
  let columns = vec4u(4 * lane) + vec4u(0, 1, 2, 3);
  let is_mine = lane < quads && columns.w >= j;  // has columns that are not done with
  let quad = min(lane, quads - 1);

  let rows = matrix + 8 * octet * quads + quad;
  let x0 = a[rows];
  let x1 = a[rows + quads];
  let x2 = a[rows + 2 * quads];
  let x3 = a[rows + 3 * quads];
  let x4 = a[rows + 4 * quads];
  let x5 = a[rows + 5 * quads];
  let x6 = a[rows + 6 * quads];
  let x7 = a[rows + 7 * quads];
  let row_j = a[matrix + j * quads + quad];
  let next = min(j + 1, params.side - 1);
  let a_next = a[matrix + j * quads + next / 4][next % 4];

  // The reflector of the step before; before the first there is none.
  let old = max(j, 1) - 1;
  let old_v = matrix + old * quads;
  let old_p = (2 * group.z + (old & 1)) * quads;
  let has_old = j > 0;
  let tau = select(0.0, tridiagonal[group.z * params.side + old].z, has_old);
  let v = select(vec4f(0.0), reflectors[old_v + quad], has_old && is_mine);
  let v_next = select(0.0, reflectors[old_v + next / 4][next % 4], has_old);
  let v_low = select(vec4f(0.0), reflectors[old_v + 2 * octet], has_old);
  let v_high = select(vec4f(0.0), reflectors[old_v + 2 * octet + 1], has_old);
  // p has what earlier steps left in the places before j.
  let is_in_p = vec4<bool>(has_old && is_mine) & (columns >= vec4u(j));
  let tau_p = tau * select(vec4f(0.0), products[old_p + quad], is_in_p);
  let tau_p_j = select(0.0, tau * products[old_p + j / 4][j % 4], has_old);
  let tau_p_next = select(0.0, tau * products[old_p + next / 4][next % 4], has_old);
  let tau_p_low = select(vec4f(0.0), tau * products[old_p + 2 * octet], has_old);
  let tau_p_high = select(vec4f(0.0), tau * products[old_p + 2 * octet + 1], has_old);

  // Column j, and by itself its entry below the diagonal. v_j is 1, or all of v and w are 0.
  let half = 0.5 * tau * sum_of(vec4f(dot(tau_p, v), 0.0, 0.0, 0.0), lane).x;
  let w = tau_p - half * v;
  let w_j = tau_p_j - half;
  let c = row_j - v * w_j - w;
  let alpha = a_next - v_next * w_j - (tau_p_next - half * v_next);

  // The new reflector: c below the diagonal becomes (beta, 0 ..).
  let is_below = vec4<bool>(is_mine) & (columns > vec4u(j + 1));
  let below = select(vec4f(0.0), c, is_below);
  workgroupBarrier();  // the sum was read
  let square = sum_of(vec4f(dot(below, below), 0.0, 0.0, 0.0), lane).x;
  var beta = alpha;
  var new_tau = 0.0;
  var scale = 0.0;
  let has_reflector = square > NEGLIGIBLE;
  if (has_reflector) {
    beta = select(-1.0, 1.0, alpha < 0.0) * sqrt(alpha * alpha + square);
    new_tau = (beta - alpha) / beta;
    scale = 1.0 / (alpha - beta);
  }
  let head = select(0.0, 1.0, has_reflector);  // without, all of v is 0, as scale is
  let new_v = scale * below + select(vec4f(0.0), vec4f(head), columns == vec4u(j + 1));

  // The rows: up to date, and times the new v.
  let is_live = vec4<bool>(is_mine) & (columns > vec4u(j));
  let v_live = select(vec4f(0.0), v, is_live);
  let w_live = select(vec4f(0.0), w, is_live);
  let w_low = tau_p_low - half * v_low;
  let w_high = tau_p_high - half * v_high;
  let y0 = x0 - v_low.x * w_live - w_low.x * v_live;
  let y1 = x1 - v_low.y * w_live - w_low.y * v_live;
  let y2 = x2 - v_low.z * w_live - w_low.z * v_live;
  let y3 = x3 - v_low.w * w_live - w_low.w * v_live;
  let y4 = x4 - v_high.x * w_live - w_high.x * v_live;
  let y5 = x5 - v_high.y * w_live - w_high.y * v_live;
  let y6 = x6 - v_high.z * w_live - w_high.z * v_live;
  let y7 = x7 - v_high.w * w_live - w_high.w * v_live;
  let sums = two_sums_of(
    vec4f(dot(y0, new_v), dot(y1, new_v), dot(y2, new_v), dot(y3, new_v)),
    vec4f(dot(y4, new_v), dot(y5, new_v), dot(y6, new_v), dot(y7, new_v)),
    lane,
  );

  let is_own = lane < quads;
  if (group.x == 0 && is_own) {
    reflectors[matrix + j * quads + lane] = new_v;
    if (lane == j / 4) {
      let e = select(beta, 0.0, j + 1 == params.side);
      tridiagonal[group.z * params.side + j] = vec4f(c[j % 4], e, new_tau, 0.0);
    }
  }
  // Row j is what every workgroup reads: it and those before it stay as they are.
  if (is_mine) {
    if (8 * octet > j) { a[rows] = y0; }
    if (8 * octet + 1 > j) { a[rows + quads] = y1; }
    if (8 * octet + 2 > j) { a[rows + 2 * quads] = y2; }
    if (8 * octet + 3 > j) { a[rows + 3 * quads] = y3; }
    if (8 * octet + 4 > j) { a[rows + 4 * quads] = y4; }
    if (8 * octet + 5 > j) { a[rows + 5 * quads] = y5; }
    if (8 * octet + 6 > j) { a[rows + 6 * quads] = y6; }
    if (8 * octet + 7 > j) { a[rows + 7 * quads] = y7; }
  }
  if (lane < 2) { products[(2 * group.z + (j & 1)) * quads + 2 * octet + lane] = select(sums[1], sums[0], lane == 0); }
}
