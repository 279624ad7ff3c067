import { createRoot } from "react-dom/client";
import { Photo } from "./Photo.jsx";

createRoot(document.getElementById("root")).render(<Photo />);
