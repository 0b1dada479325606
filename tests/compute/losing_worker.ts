/** The compute Worker, and a message by which its device is lost. */
const opened: GPUDevice[] = [];
const { requestDevice } = GPUAdapter.prototype;
GPUAdapter.prototype.requestDevice = async function (descriptor) {
  const device = await requestDevice.call(this, descriptor);
  opened.push(device);
  return device;
};

await import("../../src/compute/worker.ts");

self.addEventListener("message", ({ data }) => {
  if (data.type === "lose") { for (const device of opened) device.destroy(); }
});

export {};
