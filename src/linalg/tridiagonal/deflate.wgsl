// What a rank-one update leaves as it is.
//
// A pole without weight keeps its eigenvector. Of two poles that nearly meet, a rotation of their
// eigenvectors moves all weight to one, and the other keeps its own. The poles that move come first
// among the merge's, ascending; the others fill it from its end, their values with them.
//
// One workgroup a merge: lanes fetch, the first decides, one pole after the other. Joined with a form
// of reduce/, state.wgsl and merge.wgsl.
//
// Source: Dongarra and Sorensen 1987 (LAPACK's laed2).
// Departs: only poles within twice the tolerance meet, whatever their weights.

@group(0) @binding(0) var<storage, read> sorted: array<Pole>;           // [batch, side]
@group(0) @binding(1) var<storage, read> tridiagonal: array<vec4f>;     // [batch, side]: d, e
@group(0) @binding(2) var<storage, read> states: array<MatrixState>;
@group(0) @binding(3) var<storage, read_write> poles: array<Pole>;      // [batch, side]
@group(0) @binding(4) var<storage, read_write> values: array<f32>;      // [batch, side]
@group(0) @binding(5) var<storage, read_write> rotations: array<Rotation>;  // [batch, side]
@group(0) @binding(6) var<storage, read_write> counts: array<Counts>;   // [batch, merges]
@group(0) @binding(7) var<uniform> params: Params;

const LANES = 64u;
alias Value = f32;

// Of the largest pole of the merge, what float32 rounds; and of the whole matrix, far less than
// that: quotients of what is left stay far from overflow.
const TOLERANCE = 1.2e-7;
const NEGLIGIBLE = 1e-9;

var<workgroup> staged: array<Pole, LANES>;

@compute @workgroup_size(LANES)
fn deflate(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let merge = merge_at(group.x);
  let batch = group.z * params.side;
  var mine = 0.0;
  for (var i = merge.start + lane; i < merge.end; i += LANES) {
    mine = max(mine, abs(sorted[batch + i].value));
  }
  let largest = largest_of(mine, lane);

  var rho = 0.0;
  if (merge.middle < merge.end) { rho = 2 * abs(tridiagonal[batch + merge.middle - 1].y); }
  let tolerance = max(TOLERANCE * max(largest, rho), NEGLIGIBLE * states[group.z].norm);

  var moved = 0u;
  var left = 0u;
  var rotated = 0u;
  var has_last = false;
  var last = Pole();
  for (var first = merge.start; first < merge.end; first += LANES) {
    workgroupBarrier();
    if (first + lane < merge.end) { staged[lane] = sorted[batch + first + lane]; }
    workgroupBarrier();
    if (lane == 0) {
      for (var k = 0u; k < min(LANES, merge.end - first); k++) {
        var pole = staged[k];
        if (rho * abs(pole.weight) <= tolerance) {
          leave(batch + merge.end, left, pole);
          left++;
          continue;
        }
        if (has_last) {
          let gap = pole.value - last.value;
          // What the rotation leaves beside the diagonal is gap c s, and |c s| is at most a half.
          if (gap <= 2 * tolerance) {
            let weight = sqrt(last.weight * last.weight + pole.weight * pole.weight);
            let c = pole.weight / weight;
            let s = -last.weight / weight;
            rotations[batch + merge.start + rotated] = Rotation(last.vector, pole.vector, c, s);
            rotated++;
            pole.value -= gap * s * s;
            pole.weight = weight;
            last.value += gap * s * s;
            leave(batch + merge.end, left, last);
            left++;
          } else {
            poles[batch + merge.start + moved] = last;
            moved++;
          }
        }
        last = pole;
        has_last = true;
      }
    }
  }
  if (lane > 0) { return; }
  if (has_last) {
    poles[batch + merge.start + moved] = last;
    moved++;
  }
  counts[group.z * groups.x + group.x] = Counts(moved, rotated);
}

fn leave(end: u32, left: u32, pole: Pole) {
  poles[end - 1 - left] = pole;
  values[end - 1 - left] = pole.value;
}
