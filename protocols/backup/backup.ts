import { decodeMessage, encodeMessage, MaxLengthError, message, streamMessage } from 'protons-runtime'
import { alloc as uint8ArrayAlloc } from 'uint8arrays/alloc'
import type { Codec, DecodeOptions } from 'protons-runtime'
import type { Uint8ArrayList } from 'uint8arraylist'

export interface Order {
  source: string
  acceptChanges: boolean
}

export namespace Order {
  let _codec: Codec<Order>

  export const codec = (): Codec<Order> => {
    if (_codec == null) {
      _codec = message<Order>((obj, w, opts = {}) => {
        if (opts.lengthDelimited !== false) {
          w.fork()
        }

        if ((obj.source != null && obj.source !== '')) {
          w.uint32(10)
          w.string(obj.source)
        }

        if ((obj.acceptChanges != null && obj.acceptChanges !== false)) {
          w.uint32(16)
          w.bool(obj.acceptChanges)
        }

        if (opts.lengthDelimited !== false) {
          w.ldelim()
        }
      }, (reader, length, opts = {}) => {
        const obj: any = {
          source: '',
          acceptChanges: false
        }

        const end = length == null ? reader.len : reader.pos + length

        while (reader.pos < end) {
          const tag = reader.uint32()

          switch (tag >>> 3) {
            case 1: {
              obj.source = reader.string()
              break
            }
            case 2: {
              obj.acceptChanges = reader.bool()
              break
            }
            default: {
              reader.skipType(tag & 7)
              break
            }
          }
        }

        return obj
      }, function * (reader, length, prefix, opts = {}) {
        const end = length == null ? reader.len : reader.pos + length

        while (reader.pos < end) {
          const tag = reader.uint32()

          switch (tag >>> 3) {
            case 1: {
              yield {
                field: `${prefix}.source`,
                value: reader.string()
              }
              break
            }
            case 2: {
              yield {
                field: `${prefix}.acceptChanges`,
                value: reader.bool()
              }
              break
            }
            default: {
              reader.skipType(tag & 7)
              break
            }
          }
        }
      })
    }

    return _codec
  }

  export interface OrderSourceFieldEvent {
    field: '$.source'
    value: string
  }

  export interface OrderAcceptChangesFieldEvent {
    field: '$.acceptChanges'
    value: boolean
  }

  export function encode (obj: Partial<Order>): Uint8Array<ArrayBuffer> {
    return encodeMessage(obj, Order.codec())
  }

  export function decode (buf: Uint8Array | Uint8ArrayList, opts?: DecodeOptions<Order>): Order {
    return decodeMessage(buf, Order.codec(), opts)
  }

  export function stream (buf: Uint8Array | Uint8ArrayList, opts?: DecodeOptions<Order>): Generator<OrderSourceFieldEvent | OrderAcceptChangesFieldEvent> {
    return streamMessage(buf, Order.codec(), opts)
  }
}

export interface Unread {
  path: Uint8Array<ArrayBuffer>
  because: string
}

export namespace Unread {
  let _codec: Codec<Unread>

  export const codec = (): Codec<Unread> => {
    if (_codec == null) {
      _codec = message<Unread>((obj, w, opts = {}) => {
        if (opts.lengthDelimited !== false) {
          w.fork()
        }

        if ((obj.path != null && obj.path.byteLength > 0)) {
          w.uint32(10)
          w.bytes(obj.path)
        }

        if ((obj.because != null && obj.because !== '')) {
          w.uint32(18)
          w.string(obj.because)
        }

        if (opts.lengthDelimited !== false) {
          w.ldelim()
        }
      }, (reader, length, opts = {}) => {
        const obj: any = {
          path: uint8ArrayAlloc(0),
          because: ''
        }

        const end = length == null ? reader.len : reader.pos + length

        while (reader.pos < end) {
          const tag = reader.uint32()

          switch (tag >>> 3) {
            case 1: {
              obj.path = reader.bytes()
              break
            }
            case 2: {
              obj.because = reader.string()
              break
            }
            default: {
              reader.skipType(tag & 7)
              break
            }
          }
        }

        return obj
      }, function * (reader, length, prefix, opts = {}) {
        const end = length == null ? reader.len : reader.pos + length

        while (reader.pos < end) {
          const tag = reader.uint32()

          switch (tag >>> 3) {
            case 1: {
              yield {
                field: `${prefix}.path`,
                value: reader.bytes()
              }
              break
            }
            case 2: {
              yield {
                field: `${prefix}.because`,
                value: reader.string()
              }
              break
            }
            default: {
              reader.skipType(tag & 7)
              break
            }
          }
        }
      })
    }

    return _codec
  }

  export interface UnreadPathFieldEvent {
    field: '$.path'
    value: Uint8Array<ArrayBuffer>
  }

  export interface UnreadBecauseFieldEvent {
    field: '$.because'
    value: string
  }

  export function encode (obj: Partial<Unread>): Uint8Array<ArrayBuffer> {
    return encodeMessage(obj, Unread.codec())
  }

  export function decode (buf: Uint8Array | Uint8ArrayList, opts?: DecodeOptions<Unread>): Unread {
    return decodeMessage(buf, Unread.codec(), opts)
  }

  export function stream (buf: Uint8Array | Uint8ArrayList, opts?: DecodeOptions<Unread>): Generator<UnreadPathFieldEvent | UnreadBecauseFieldEvent> {
    return streamMessage(buf, Unread.codec(), opts)
  }
}

export interface Taken {
  snapshot: Uint8Array<ArrayBuffer>
  timeMs: number
  files: number
  bytes: number
  stale: number
  missed: number
  unchanged: boolean
  unread: Unread[]
}

export namespace Taken {
  let _codec: Codec<Taken>

  export const codec = (): Codec<Taken> => {
    if (_codec == null) {
      _codec = message<Taken>((obj, w, opts = {}) => {
        if (opts.lengthDelimited !== false) {
          w.fork()
        }

        if ((obj.snapshot != null && obj.snapshot.byteLength > 0)) {
          w.uint32(10)
          w.bytes(obj.snapshot)
        }

        if ((obj.timeMs != null && obj.timeMs !== 0)) {
          w.uint32(16)
          w.uint64Number(obj.timeMs)
        }

        if ((obj.files != null && obj.files !== 0)) {
          w.uint32(24)
          w.uint64Number(obj.files)
        }

        if ((obj.bytes != null && obj.bytes !== 0)) {
          w.uint32(32)
          w.uint64Number(obj.bytes)
        }

        if ((obj.stale != null && obj.stale !== 0)) {
          w.uint32(40)
          w.uint64Number(obj.stale)
        }

        if ((obj.missed != null && obj.missed !== 0)) {
          w.uint32(48)
          w.uint64Number(obj.missed)
        }

        if ((obj.unchanged != null && obj.unchanged !== false)) {
          w.uint32(56)
          w.bool(obj.unchanged)
        }

        if (obj.unread != null && obj.unread.length > 0) {
          for (const value of obj.unread) {
            w.uint32(66)
            Unread.codec().encode(value, w)
          }
        }

        if (opts.lengthDelimited !== false) {
          w.ldelim()
        }
      }, (reader, length, opts = {}) => {
        const obj: any = {
          snapshot: uint8ArrayAlloc(0),
          timeMs: 0,
          files: 0,
          bytes: 0,
          stale: 0,
          missed: 0,
          unchanged: false,
          unread: []
        }

        const end = length == null ? reader.len : reader.pos + length

        while (reader.pos < end) {
          const tag = reader.uint32()

          switch (tag >>> 3) {
            case 1: {
              obj.snapshot = reader.bytes()
              break
            }
            case 2: {
              obj.timeMs = reader.uint64Number()
              break
            }
            case 3: {
              obj.files = reader.uint64Number()
              break
            }
            case 4: {
              obj.bytes = reader.uint64Number()
              break
            }
            case 5: {
              obj.stale = reader.uint64Number()
              break
            }
            case 6: {
              obj.missed = reader.uint64Number()
              break
            }
            case 7: {
              obj.unchanged = reader.bool()
              break
            }
            case 8: {
              if (opts.limits?.unread != null && obj.unread.length === opts.limits.unread) {
                throw new MaxLengthError('Decode error - repeated field "unread" had too many elements')
              }

              obj.unread.push(Unread.codec().decode(reader, reader.uint32(), {
                limits: opts.limits?.unread$
              }))
              break
            }
            default: {
              reader.skipType(tag & 7)
              break
            }
          }
        }

        return obj
      }, function * (reader, length, prefix, opts = {}) {
        const obj = {
          unread: 0
        }

        const end = length == null ? reader.len : reader.pos + length

        while (reader.pos < end) {
          const tag = reader.uint32()

          switch (tag >>> 3) {
            case 1: {
              yield {
                field: `${prefix}.snapshot`,
                value: reader.bytes()
              }
              break
            }
            case 2: {
              yield {
                field: `${prefix}.timeMs`,
                value: reader.uint64Number()
              }
              break
            }
            case 3: {
              yield {
                field: `${prefix}.files`,
                value: reader.uint64Number()
              }
              break
            }
            case 4: {
              yield {
                field: `${prefix}.bytes`,
                value: reader.uint64Number()
              }
              break
            }
            case 5: {
              yield {
                field: `${prefix}.stale`,
                value: reader.uint64Number()
              }
              break
            }
            case 6: {
              yield {
                field: `${prefix}.missed`,
                value: reader.uint64Number()
              }
              break
            }
            case 7: {
              yield {
                field: `${prefix}.unchanged`,
                value: reader.bool()
              }
              break
            }
            case 8: {
              if (opts.limits?.unread != null && obj.unread === opts.limits.unread) {
                throw new MaxLengthError('Streaming decode error - repeated field "unread" had too many elements')
              }

              for (const evt of Unread.codec().stream(reader, reader.uint32(), `${prefix}.unread[]`, {
                limits: opts.limits?.unread$
              })) {
                yield {
                  ...evt,
                  index: obj.unread
                }
              }

              obj.unread++

              break
            }
            default: {
              reader.skipType(tag & 7)
              break
            }
          }
        }
      })
    }

    return _codec
  }

  export interface TakenSnapshotFieldEvent {
    field: '$.snapshot'
    value: Uint8Array<ArrayBuffer>
  }

  export interface TakenTimeMsFieldEvent {
    field: '$.timeMs'
    value: number
  }

  export interface TakenFilesFieldEvent {
    field: '$.files'
    value: number
  }

  export interface TakenBytesFieldEvent {
    field: '$.bytes'
    value: number
  }

  export interface TakenStaleFieldEvent {
    field: '$.stale'
    value: number
  }

  export interface TakenMissedFieldEvent {
    field: '$.missed'
    value: number
  }

  export interface TakenUnchangedFieldEvent {
    field: '$.unchanged'
    value: boolean
  }

  export interface TakenUnreadPathFieldEvent {
    field: '$.unread[].path'
    value: Uint8Array<ArrayBuffer>
    index: number
  }

  export interface TakenUnreadBecauseFieldEvent {
    field: '$.unread[].because'
    value: string
    index: number
  }

  export function encode (obj: Partial<Taken>): Uint8Array<ArrayBuffer> {
    return encodeMessage(obj, Taken.codec())
  }

  export function decode (buf: Uint8Array | Uint8ArrayList, opts?: DecodeOptions<Taken>): Taken {
    return decodeMessage(buf, Taken.codec(), opts)
  }

  export function stream (buf: Uint8Array | Uint8ArrayList, opts?: DecodeOptions<Taken>): Generator<TakenSnapshotFieldEvent | TakenTimeMsFieldEvent | TakenFilesFieldEvent | TakenBytesFieldEvent | TakenStaleFieldEvent | TakenMissedFieldEvent | TakenUnchangedFieldEvent | TakenUnreadPathFieldEvent | TakenUnreadBecauseFieldEvent> {
    return streamMessage(buf, Taken.codec(), opts)
  }
}

export interface Reply {
  taken?: Taken
  refused?: number
}

export namespace Reply {
  let _codec: Codec<Reply>

  export const codec = (): Codec<Reply> => {
    if (_codec == null) {
      _codec = message<Reply>((obj, w, opts = {}) => {
        if (opts.lengthDelimited !== false) {
          w.fork()
        }

        obj = { ...obj }

        if (obj.refused != null) {
          obj.taken = undefined
        }

        if (obj.taken != null) {
          obj.refused = undefined
        }

        if (obj.taken != null) {
          w.uint32(10)
          Taken.codec().encode(obj.taken, w)
        }

        if (obj.refused != null) {
          w.uint32(16)
          w.uint32(obj.refused)
        }

        if (opts.lengthDelimited !== false) {
          w.ldelim()
        }
      }, (reader, length, opts = {}) => {
        const obj: any = {}

        const end = length == null ? reader.len : reader.pos + length

        while (reader.pos < end) {
          const tag = reader.uint32()

          switch (tag >>> 3) {
            case 1: {
              obj.taken = Taken.codec().decode(reader, reader.uint32(), {
                limits: opts.limits?.taken
              })
              break
            }
            case 2: {
              obj.refused = reader.uint32()
              break
            }
            default: {
              reader.skipType(tag & 7)
              break
            }
          }
        }

        if (obj.refused != null) {
          delete obj.taken
        }

        if (obj.taken != null) {
          delete obj.refused
        }

        return obj
      }, function * (reader, length, prefix, opts = {}) {
        const end = length == null ? reader.len : reader.pos + length

        while (reader.pos < end) {
          const tag = reader.uint32()

          switch (tag >>> 3) {
            case 1: {
              yield * Taken.codec().stream(reader, reader.uint32(), `${prefix}.taken`, {
                limits: opts.limits?.taken
              })

              break
            }
            case 2: {
              yield {
                field: `${prefix}.refused`,
                value: reader.uint32()
              }
              break
            }
            default: {
              reader.skipType(tag & 7)
              break
            }
          }
        }
      })
    }

    return _codec
  }

  export interface ReplyTakenSnapshotFieldEvent {
    field: '$.taken.snapshot'
    value: Uint8Array<ArrayBuffer>
  }

  export interface ReplyTakenTimeMsFieldEvent {
    field: '$.taken.timeMs'
    value: number
  }

  export interface ReplyTakenFilesFieldEvent {
    field: '$.taken.files'
    value: number
  }

  export interface ReplyTakenBytesFieldEvent {
    field: '$.taken.bytes'
    value: number
  }

  export interface ReplyTakenStaleFieldEvent {
    field: '$.taken.stale'
    value: number
  }

  export interface ReplyTakenMissedFieldEvent {
    field: '$.taken.missed'
    value: number
  }

  export interface ReplyTakenUnchangedFieldEvent {
    field: '$.taken.unchanged'
    value: boolean
  }

  export interface ReplyTakenUnreadPathFieldEvent {
    field: '$.taken.unread[].path'
    value: Uint8Array<ArrayBuffer>
    index: number
  }

  export interface ReplyTakenUnreadBecauseFieldEvent {
    field: '$.taken.unread[].because'
    value: string
    index: number
  }

  export interface ReplyRefusedFieldEvent {
    field: '$.refused'
    value: number
  }

  export function encode (obj: Partial<Reply>): Uint8Array<ArrayBuffer> {
    return encodeMessage(obj, Reply.codec())
  }

  export function decode (buf: Uint8Array | Uint8ArrayList, opts?: DecodeOptions<Reply>): Reply {
    return decodeMessage(buf, Reply.codec(), opts)
  }

  export function stream (buf: Uint8Array | Uint8ArrayList, opts?: DecodeOptions<Reply>): Generator<ReplyTakenSnapshotFieldEvent | ReplyTakenTimeMsFieldEvent | ReplyTakenFilesFieldEvent | ReplyTakenBytesFieldEvent | ReplyTakenStaleFieldEvent | ReplyTakenMissedFieldEvent | ReplyTakenUnchangedFieldEvent | ReplyTakenUnreadPathFieldEvent | ReplyTakenUnreadBecauseFieldEvent | ReplyRefusedFieldEvent> {
    return streamMessage(buf, Reply.codec(), opts)
  }
}
