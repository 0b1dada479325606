// As tree.wgsl, with one barrier: a subgroup reduces its own lanes, then one value of each passes
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
