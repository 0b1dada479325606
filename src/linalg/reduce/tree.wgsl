// Sum, maximum and product over the lanes of a workgroup, by halves through workgroup memory; every lane
// gets them.
//
// The kernel declares LANES, a power of two, and what it reduces: `alias Value = f32`, or a vector.
// A barrier between two calls is the kernel's. The twin is subgroups.wgsl.

var<workgroup> lane_values: array<Value, LANES>;

fn sum_of(mine: Value, lane: u32) -> Value {
  lane_values[lane] = mine;
  workgroupBarrier();
  for (var half = LANES / 2; half > 0; half /= 2) {
    if (lane < half) { lane_values[lane] += lane_values[lane + half]; }
    workgroupBarrier();
  }
  return lane_values[0];
}

fn largest_of(mine: Value, lane: u32) -> Value {
  lane_values[lane] = mine;
  workgroupBarrier();
  for (var half = LANES / 2; half > 0; half /= 2) {
    if (lane < half) { lane_values[lane] = max(lane_values[lane], lane_values[lane + half]); }
    workgroupBarrier();
  }
  return lane_values[0];
}

fn product_of(mine: Value, lane: u32) -> Value {
  lane_values[lane] = mine;
  workgroupBarrier();
  for (var half = LANES / 2; half > 0; half /= 2) {
    if (lane < half) { lane_values[lane] *= lane_values[lane + half]; }
    workgroupBarrier();
  }
  return lane_values[0];
}

var<workgroup> second_values: array<Value, LANES>;

// As two calls of sum_of, with the barriers of one.
fn two_sums_of(first: Value, second: Value, lane: u32) -> array<Value, 2> {
  workgroupBarrier();  // what was summed before was read
  lane_values[lane] = first;
  second_values[lane] = second;
  workgroupBarrier();
  for (var half = LANES / 2; half > 0; half /= 2) {
    if (lane < half) {
      lane_values[lane] += lane_values[lane + half];
      second_values[lane] += second_values[lane + half];
    }
    workgroupBarrier();
  }
  return array<Value, 2>(lane_values[0], second_values[0]);
}
