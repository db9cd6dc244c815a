package bench

import "strconv"

// areaCodes are of the United States. With the exchange 555 and the lines 0100
// to 0199 (set aside for fiction) they make numbers that pass every check and
// that no one has.
var areaCodes = [...]int{
	201, 202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218,
	219, 224, 225, 228, 229, 231, 234, 239, 240, 248, 251, 252, 253, 254, 256, 260,
	262, 267, 269, 270, 276, 281, 301, 302, 303, 304, 305, 307, 308, 309, 310, 312,
	313, 314, 315, 316, 317, 318, 319, 320, 321, 323, 325, 330, 334, 336, 337, 339,
	347, 351, 352, 360, 361, 386, 401, 402, 404, 405, 406, 407, 408, 409, 410, 412,
	413, 414, 415, 417, 419, 423, 425, 432, 434, 435, 440, 443, 469, 478, 479, 480,
}

// numbers is how many different numbers there are; they go by their index.
const numbers = len(areaCodes) * 100

// numberSize is how many digits a national number has.
const numberSize = 10

var areaIndex = func() (index [1000]int16) {
	for i := range index {
		index[i] = -1
	}
	for i, code := range areaCodes {
		index[code] = int16(i)
	}
	return index
}()

// putNumber writes the national number with that index over dst.
func putNumber(dst []byte, index int) {
	_ = strconv.AppendInt(dst[:0], int64(areaCodes[index/100])*10_000_000+555_0100+int64(index%100), 10)
}

// numberIndex is the index of a national number, -1 where it is none of ours.
func numberIndex(national []byte) int {
	if len(national) != numberSize {
		return -1
	}
	area, line := number(national[:3]), number(national[3:])
	if area < 0 || line < 555_0100 || line >= 555_0200 || areaIndex[area] < 0 {
		return -1
	}
	return int(areaIndex[area])*100 + line - 555_0100
}
