import { useState } from "react";
import { useMien } from "./useMien.js";

export function Photo() {
  const [photo, setPhoto] = useState();
  const { busy, error, faces } = useMien(photo);
  return (
    <>
      <input
        id="file"
        type="file"
        accept="image/*"
        onChange={({ target }) => setPhoto(target.files[0])}
      />
      <p id="faces" role="status">
        {busy ? "Looking …" : error?.message ??
          faces?.map(({ expression }) => expression.label).join(", ") ??
          "Choose a photo"}
      </p>
    </>
  );
}
