/**
 * A worker that sees the encoded frames of a connection pass by (WebRTC Encoded Transform) and
 * tells their RTP timestamps. The frames themselves go on as they are.
 */

// Not in TypeScript's DOM library for windows: https://w3c.github.io/webrtc-encoded-transform/
interface TransformEvent extends Event {
  readonly transformer: {
    readonly readable: ReadableStream<EncodedFrame>;
    readonly writable: WritableStream<EncodedFrame>;
  };
}

interface EncodedFrame {
  getMetadata(): { readonly rtpTimestamp?: number };
}

/** To the page: first that the worker is there, then each frame's RTP timestamp. */
export type TapMessage = { readonly isReady: true } | { readonly rtpTimestamp: number };

const tell = (message: TapMessage) => self.postMessage(message);

self.addEventListener("rtctransform", (event) => {
  const { readable, writable } = (event as TransformEvent).transformer;
  const watch = new TransformStream<EncodedFrame, EncodedFrame>({
    transform(frame, controller) {
      const { rtpTimestamp } = frame.getMetadata();
      controller.enqueue(frame);
      if (rtpTimestamp !== undefined) tell({ rtpTimestamp });
    },
  });
  // Ends with an error when the connection is closed, which is its ordinary end.
  readable
    .pipeThrough(watch)
    .pipeTo(writable)
    .catch(() => self.close());
});
tell({ isReady: true });
