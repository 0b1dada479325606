// As tree.wgsl, with a barrier or two: a subgroup reduces its own lanes, then one value of each passes
// through workgroup memory.
//
// Right for every size of subgroup, which is counted, not assumed: a compiler may choose it for
// each kernel. That a subgroup's lanes follow each other is proven when the device is opened.

var<workgroup> subgroup_values: array<Value, LANES>;

fn sum_of(mine: Value, lane: u32) -> Value {
  let size = subgroupAdd(1u);
  let sum = subgroupAdd(mine);
  if (lane % size == 0) { subgroup_values[lane / size] = sum; }
  workgroupBarrier();
  var total = subgroup_values[0];
  for (var s = 1u; s < LANES / size; s++) { total += subgroup_values[s]; }
  return total;
}

fn largest_of(mine: Value, lane: u32) -> Value {
  let size = subgroupAdd(1u);
  let found = subgroupMax(mine);
  if (lane % size == 0) { subgroup_values[lane / size] = found; }
  workgroupBarrier();
  var largest = subgroup_values[0];
  for (var s = 1u; s < LANES / size; s++) { largest = max(largest, subgroup_values[s]); }
  return largest;
}

fn product_of(mine: Value, lane: u32) -> Value {
  let size = subgroupAdd(1u);
  let product = subgroupMul(mine);
  if (lane % size == 0) { subgroup_values[lane / size] = product; }
  workgroupBarrier();
  var total = subgroup_values[0];
  for (var s = 1u; s < LANES / size; s++) { total *= subgroup_values[s]; }
  return total;
}

var<workgroup> second_values: array<Value, LANES>;

fn two_sums_of(first: Value, second: Value, lane: u32) -> array<Value, 2> {
  let size = subgroupAdd(1u);
  let sums = array<Value, 2>(subgroupAdd(first), subgroupAdd(second));
  workgroupBarrier();  // what was summed before was read
  if (lane % size == 0) {
    subgroup_values[lane / size] = sums[0];
    second_values[lane / size] = sums[1];
  }
  workgroupBarrier();
  var totals = array<Value, 2>(subgroup_values[0], second_values[0]);
  for (var s = 1u; s < LANES / size; s++) {
    totals[0] += subgroup_values[s];
    totals[1] += second_values[s];
  }
  return totals;
}
